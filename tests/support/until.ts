import { AssertionError } from "@std/assert";

// The platform's own, whatever a fake time puts in their place.
const { setTimeout, performance } = globalThis;

/** How many turns a condition that must come true may take: many, for a noisy machine. */
const PATIENCE = 5_000;

/** A turn of the event loop. It lasts a millisecond, and longer where the loop or the machine is busy. */
const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 1));

/**
 * Waits for what only the far end can know, by looking at it again and again. The
 * limit counts turns of the event loop, not milliseconds: whatever holds up the
 * code under test holds up the count too.
 */
export async function until(
  condition: () => boolean,
  { within = PATIENCE }: { within?: number } = {},
): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    if (turns >= within) throw new AssertionError(`Not within ${within} turns: ${condition}`);
    await turn();
  }
}

/**
 * Lets all microtasks run, and nothing else: what has happened by then happened
 * "in that turn". The longest chains in the pool are far shorter.
 */
export async function sameTurn(): Promise<void> {
  for (let hop = 0; hop < 100; hop++) await undefined;
}

/** How long something took: in milliseconds, and in turns of the event loop. */
export interface Duration {
  readonly time: number;
  readonly turns: number;
}

/** Runs something; answers how long it took. */
export async function timed(action: () => PromiseLike<unknown>): Promise<Duration> {
  let isOver = false;
  let turns = 0;
  const counting = (async () => {
    for (await turn(); !isOver; await turn()) turns++;
  })();
  const start = performance.now();
  try {
    await action();
    return { time: performance.now() - start, turns };
  } finally {
    isOver = true;
    await counting;
  }
}

/**
 * Runs something, and asserts that it takes at least so many milliseconds, and at
 * most so many turns of the event loop. A busy machine makes both longer.
 */
export async function assertTakes(
  [least, most]: readonly [milliseconds: number, turns: number],
  action: () => PromiseLike<unknown>,
): Promise<void> {
  const { time, turns } = await timed(action);
  if (time >= least && turns <= most) return;
  throw new AssertionError(`took ${time} ms and ${turns} turns, not ${least} ms to ${most} turns`);
}
