/**
 * A turn of the event loop: after it, all events that the system knew when it began have
 * been reported.
 *
 * After a stall, timers fire before the I/O that completed meanwhile is reported. A single
 * timer may still fire before the loop has polled the system; a second one in a row was
 * never seen to.
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
