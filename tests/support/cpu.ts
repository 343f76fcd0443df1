import { cpuUsage } from "node:process";

/**
 * The share of a core that the process uses, once for each time that something is
 * done: the median, since now and then the runtime compiles or collects garbage
 * for tests that are over.
 */
export async function load(times: number, action: () => Promise<unknown>): Promise<number> {
  const shares: number[] = [];
  for (let i = 0; i < times; i++) {
    const before = cpuUsage();
    const began = performance.now();
    await action();
    const { user, system } = cpuUsage(before);
    shares.push((user + system) / 1_000 / (performance.now() - began));
  }
  return shares.sort((a, b) => a - b)[times >> 1]!;
}
