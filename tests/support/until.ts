import { delay } from "@std/async";

/** How long a condition that must come true may take: long, for a noisy machine. */
const PATIENCE = 5_000;

/** Waits for what only the far end can know, by looking at it again and again. */
export async function until(
  condition: () => boolean,
  { within = PATIENCE }: { within?: number } = {},
): Promise<void> {
  const start = performance.now();
  while (!condition()) {
    if (performance.now() - start > within) {
      throw new Error(`Not within ${within} ms: ${condition}`);
    }
    await delay(1);
  }
}

/**
 * Lets all microtasks run, and nothing else: what has happened by then happened
 * "in that turn". The longest chains in the pool are far shorter.
 */
export async function sameTurn(): Promise<void> {
  for (let hop = 0; hop < 100; hop++) await undefined;
}

/** Runs something; answers how many milliseconds it took. */
export async function elapsed(action: () => PromiseLike<unknown>): Promise<number> {
  const start = performance.now();
  await action();
  return performance.now() - start;
}
