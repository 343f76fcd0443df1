/**
 * The CPU time of the main thread. `clock_gettime` is called by way of FFI, since nothing else
 * is precise enough in Deno 2.9.6: `process.threadCpuUsage` counts in steps of 10 ms, and
 * `/proc/self/task/…/schedstat` lags behind by as much as a tick of the scheduler. Where that
 * call is not to be had, it is the CPU time of the whole process.
 *
 * @module
 */

import process from "node:process";

const CLOCK_THREAD_CPUTIME_ID = 3;

const ofThread = Deno.build.os === "linux" ? clockOfThread() : undefined;

/** Whose CPU time it is. */
export const cpuTimeOf: "main thread" | "whole process" = ofThread === undefined
  ? "whole process"
  : "main thread";

/** The CPU time until now, in nanoseconds. */
export const cpuTime: () => number = ofThread ?? (() => {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1_000;
});

function clockOfThread(): (() => number) | undefined {
  try {
    const { symbols } = Deno.dlopen("libc.so.6", {
      clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
    });
    const time = new BigInt64Array(2); // seconds and nanoseconds
    return () => {
      symbols.clock_gettime(CLOCK_THREAD_CPUTIME_ID, time);
      return Number(time[0]) * 1e9 + Number(time[1]);
    };
  } catch {
    return undefined; // another libc
  }
}

/** Adds up what passes between `start` and `stop`, without what it takes to read the clocks. */
export class Stopwatch {
  #cpu = 0;
  #wall = 0;
  #began = read();
  #reading = { cpu: 0, wall: 0 };

  start(): void {
    const before = read();
    this.#began = read();
    this.#reading = difference(before, this.#began);
  }

  stop(): void {
    const { cpu, wall } = difference(this.#began, read());
    this.#cpu += cpu - this.#reading.cpu;
    this.#wall += wall - this.#reading.wall;
  }

  /** What one of so many operations took, in nanoseconds. */
  per(operations: number): { cpu: number; wall: number } {
    return { cpu: this.#cpu / operations, wall: this.#wall / operations };
  }
}

interface Reading {
  readonly cpu: number;
  readonly wall: number;
}

function read(): Reading {
  return { cpu: cpuTime(), wall: performance.now() * 1e6 };
}

function difference(from: Reading, to: Reading): Reading {
  return { cpu: to.cpu - from.cpu, wall: to.wall - from.wall };
}
