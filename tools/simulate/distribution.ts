import { exponential, normal, type Random } from "./random.ts";

/** Draws a time, in milliseconds. */
export type Distribution = (random: Random) => number;

/** Always the same time. */
export function constant(time: number): Distribution {
  return () => time;
}

/** An exponential distribution, by its mean. */
export function exponentialTime(mean: number): Distribution {
  return (random) => exponential(mean, random);
}

/** A lognormal distribution, by its mean and by the standard deviation of its logarithm. */
export function lognormal(mean: number, sigma: number): Distribution {
  const mu = Math.log(mean) - sigma ** 2 / 2;
  return (random) => Math.exp(mu + sigma * normal(random));
}
