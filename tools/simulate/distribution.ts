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

/** The 99 % quantile of the standard normal distribution. */
const Z99 = 2.3263478740408408;

/**
 * The standard deviation of the logarithm of a lognormal distribution, by the mean and the
 * 99 % quantile; undefined if there is none. Of two solutions it is the smaller one.
 */
export function sigmaOf(mean: number, p99: number): number | undefined {
  const root = Z99 ** 2 - 2 * Math.log(p99 / mean);
  return p99 > mean && root >= 0 ? Z99 - Math.sqrt(root) : undefined;
}
