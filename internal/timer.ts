/** In milliseconds. A longer delay makes setTimeout fire at once. */
export const LONGEST_DELAY = 2 ** 31 - 1;

/** What setTimeout returns: an object in Deno, Node and Bun. */
export type Timer = ReturnType<typeof setTimeout>;

/** Like setTimeout, but a delay beyond its range means never. */
export function setTimer(delay: number, ring: () => void): Timer | undefined {
  return delay <= LONGEST_DELAY ? setTimeout(ring, delay) : undefined;
}
