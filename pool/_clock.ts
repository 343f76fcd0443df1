// The platform's own, whatever a test puts in their place later.
const dateNow = Date.now;

// A date that runs ahead by more than this has not just been set right.
const LEAP = 1_000;

let date = NaN;
let now = 0;
let slept = 0;

/**
 * `performance.now()`, to the millisecond: it is read again only when the date
 * has changed, which costs less than half as much to ask.
 */
export function coarseNow(): number {
  const today = dateNow();
  if (today !== date) advance(today);
  return now;
}

/**
 * The same, and the time that the machine was asleep besides: most systems'
 * monotonic clocks stand still meanwhile, and only the date tells.
 */
export function wallNow(): number {
  return coarseNow() + slept;
}

function advance(today: number): void {
  const before = now;
  now = performance.now();
  const leap = (today - date) - (now - before);
  if (leap > LEAP) slept += leap;
  date = today;
}
