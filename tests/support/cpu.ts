import { AssertionError } from "@std/assert";
import { cpuUsage } from "node:process";

/** How many times the right cost something may seem to have, in the best of many rounds. */
const TOLERANCE = 2.5;
/** How many times what is plainly needed something may cost. */
const FEW = 10;
const ROUNDS = 12;

/**
 * Begins to measure. What it gives back tells how many milliseconds of processor
 * time have been used since: other programs' share of the machine is not in it.
 */
export function processorTime(): () => number {
  const before = cpuUsage();
  return () => {
    const { user, system } = cpuUsage(before);
    return (user + system) / 1_000;
  };
}

/** The processor times that each action takes in so many rounds, in which all take turns: the least first. */
export async function costs<A extends readonly (() => unknown)[]>(
  rounds: number,
  ...actions: A
): Promise<{ [I in keyof A]: number[] }> {
  const costs = actions.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, action] of actions.entries()) {
      const cost = processorTime();
      await action();
      costs[i]!.push(cost());
    }
  }
  for (const each of costs) each.sort((a, b) => a - b);
  return costs as { [I in keyof A]: number[] };
}

/** What some work costs by itself, or `count` times of it: the processor time that it took. */
type Work = (count: number) => number | Promise<number>;

/** Asserts that the cost of some work grows as the count does. On a noisy machine it takes more rounds to see. */
export async function assertLinear(work: Work, few: number, many: number): Promise<void> {
  await assertCosts(TOLERANCE * many / few, () => work(many), () => work(few));
}

/** Asserts that some work with so many waiters costs no more than a few times what as many promises cost. */
export async function assertCheap(work: Work, count: number): Promise<void> {
  await assertCosts(FEW, () => work(count), () => promises(count));
}

/** Asserts that the least cost of an action is at most so many times that of another. */
export async function assertCosts(
  times: number,
  action: () => number | Promise<number>,
  control: () => number | Promise<number>,
): Promise<void> {
  let [cost, usual] = [Infinity, Infinity];
  await control(); // the compiler has its time
  for (let round = 0; round < ROUNDS; round++) {
    usual = Math.min(usual, await control());
    cost = Math.min(cost, await action());
    if (round > 0 && cost <= times * usual) return;
    if (round > 1 && cost > 3 * times * usual) break; // no noise does that
  }
  throw new AssertionError(
    `costs ${cost} ms of processor time, where at most ${times} times ${usual} ms are right`,
  );
}

/** What it costs to make promises, to keep them in a set, and to reject them all. */
async function promises(count: number): Promise<number> {
  const cost = processorTime();
  const waiters = new Set<(reason: unknown) => void>();
  const settled = Promise.allSettled(
    Array.from({ length: count }, () => new Promise((_, reject) => waiters.add(reject))),
  );
  for (const reject of waiters) {
    waiters.delete(reject);
    reject("enough");
  }
  await settled;
  return cost();
}
