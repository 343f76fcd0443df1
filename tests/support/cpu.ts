import { AssertionError } from "@std/assert";
import { cpuUsage } from "node:process";

/** The tolerated factor over the expected cost, in the best of many rounds. */
const TOLERANCE = 2.5;
/** The tolerated factor over the cost of the same number of promises. */
const FEW = 10;
const ROUNDS = 12;

/**
 * Begins a measurement. The returned function gives the milliseconds of processor
 * time used since, which excludes other programs.
 */
export function processorTime(): () => number {
  const before = cpuUsage();
  return () => {
    const { user, system } = cpuUsage(before);
    return (user + system) / 1_000;
  };
}

/** The processor times of each action in interleaved rounds, sorted from the least. */
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

/** The processor time of some work, done `count` times. */
type Work = (count: number) => number | Promise<number>;

/** Asserts that the cost of some work is linear in the count. A noisy machine takes more rounds. */
export async function assertLinear(work: Work, few: number, many: number): Promise<void> {
  await assertCosts(TOLERANCE * many / few, () => work(many), () => work(few));
}

/** Asserts that some work with `count` waiters costs at most a few times as much as `count` promises. */
export async function assertCheap(work: Work, count: number): Promise<void> {
  await assertCosts(FEW, () => work(count), () => promises(count));
}

/** Asserts that the least cost of an action is at most `times` that of another. */
export async function assertCosts(
  times: number,
  action: () => number | Promise<number>,
  control: () => number | Promise<number>,
): Promise<void> {
  let [cost, usual] = [Infinity, Infinity];
  await control(); // time for the compiler
  for (let round = 0; round < ROUNDS; round++) {
    usual = Math.min(usual, await control());
    cost = Math.min(cost, await action());
    if (round > 0 && cost <= times * usual) return;
    if (round > 1 && cost > 3 * times * usual) break; // too much to be noise
  }
  throw new AssertionError(
    `costs ${cost} ms of processor time, where at most ${times} times ${usual} ms are right`,
  );
}

/** The cost of creating promises, keeping them in a set, and rejecting all. */
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
