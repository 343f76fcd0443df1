/** Numbers from 0 up to 1, the same for the same seed. */
export type Random = () => number;

/** Mulberry32, by Tommy Ettinger. */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** An exponentially distributed time, as between two arrivals of a Poisson process. */
export function exponential(mean: number, random: Random): number {
  return -mean * Math.log(1 - random());
}

/** A number of the standard normal distribution, by Box and Muller. */
export function normal(random: Random): number {
  return Math.sqrt(exponential(2, random)) * Math.cos(2 * Math.PI * random());
}
