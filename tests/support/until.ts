import { AssertionError } from "@std/assert";

// The platform's own, even while a fake time is installed.
const { setTimeout, performance } = globalThis;

/** The limit of turns for a condition; many, for a noisy machine. */
const PATIENCE = 5_000;

/** A turn of the event loop. It lasts a millisecond, and longer where the loop or the machine is busy. */
const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 1));

/**
 * Polls a condition that only the other end can make true. The limit counts turns of the
 * event loop, not milliseconds, so that a busy machine slows down the count too.
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
 * Runs all microtasks and nothing else: what has happened by then happened
 * "in that turn". The longest chains in the pool are far shorter.
 */
export async function sameTurn(): Promise<void> {
  for (let hop = 0; hop < 100; hop++) await undefined;
}

/** A duration in milliseconds and in turns of the event loop. */
export interface Duration {
  readonly time: number;
  readonly turns: number;
}

/** Measures how long a function takes. */
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
 * Runs a function, and asserts that it takes at least `least` milliseconds and at most
 * `most` turns of the event loop. A busy machine makes both longer.
 */
export async function assertTakes(
  [least, most]: readonly [milliseconds: number, turns: number],
  action: () => PromiseLike<unknown>,
): Promise<void> {
  const { time, turns } = await timed(action);
  if (time >= least && turns <= most) return;
  throw new AssertionError(`took ${time} ms and ${turns} turns, not ${least} ms to ${most} turns`);
}
