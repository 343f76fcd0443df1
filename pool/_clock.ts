// The platform's own, whatever a test puts in its place later.
const dateNow = Date.now;

let date = NaN;
let now = 0;

/**
 * `performance.now()`, to the millisecond: it is read again only when the date
 * has changed, which costs less than half as much to ask. An acquire and its
 * release ask three times, and little else that they do takes as long.
 */
export function coarseNow(): number {
  const today = dateNow();
  if (today !== date) {
    date = today;
    now = performance.now();
  }
  return now;
}
