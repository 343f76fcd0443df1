/**
 * A turn of the event loop: after it, JavaScript has been told of whatever the
 * system knew when the turn began.
 *
 * After the loop was held up, timers fire before the I/O that completed
 * meanwhile is reported. A single timer may still fire before the loop has
 * asked the system; a second one in a row was never seen to.
 */

/** Calls back after one turn. Returns a function that cancels the call. */
export function afterTurn(callback: () => void): () => void {
  let timer = setTimeout(() => {
    timer = setTimeout(callback, 0);
  }, 0);
  return () => clearTimeout(timer);
}

/** Resolves after one turn. */
export function loopTurn(): Promise<void> {
  return new Promise((resolve) => afterTurn(resolve));
}
