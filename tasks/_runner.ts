import { BodyContext } from "./_context.ts";
import type { BodyCaller, ReentrancyGuard, SlotHolder } from "./_reentrancy.ts";
import type { Task } from "./task.ts";

/** The most idle runners to keep after a busy time. */
const MOST_IDLE = 100;

// A task may return a promise with an overridden `then`, which `await` does not call either.
const { then } = Promise.prototype;

/** Called at the end of its body. */
export interface Run {
  readonly weight: number;
  ended(end: "fulfilled" | "rejected", value: unknown): void;
}

/**
 * Calls one body after the other, and observes their ends with the same two functions. An
 * async function for each would take several more objects.
 */
export class Runner<R extends Run> implements BodyCaller {
  /** Its index among the runners of the pool; kept by them. */
  place: number;
  run: R | undefined = undefined;
  holder: SlotHolder | undefined = undefined;
  /** The context of the body. */
  context: BodyContext | undefined = undefined;
  readonly #fulfilled = (value: unknown) => this.run!.ended("fulfilled", value);
  readonly #rejected = (reason: unknown) => this.run!.ended("rejected", reason);

  constructor(place: number) {
    this.place = place;
  }

  get weight(): number {
    return this.run!.weight;
  }

  call(task: Task<unknown>, guard: ReentrancyGuard): void {
    let end: Promise<unknown>;
    guard.calling = this;
    try {
      end = Promise.resolve(task(this.context!));
    } catch (reason) {
      end = Promise.reject(reason);
    }
    guard.calling = undefined;
    try {
      then.call(end, this.#fulfilled, this.#rejected);
    } catch (reason) { // its `constructor` throws
      Promise.reject(reason).catch(this.#rejected);
    }
  }
}

// A literal would soon be allocated among the old objects, and its members kept until they are collected.
const NONE: never[] = [];

/** One runner for each running body, and some idle ones. */
export class Runners<R extends Run> {
  /** The busy ones come first. */
  readonly #all: Runner<R>[] = NONE.slice();
  #busy = 0;

  take(run: R, holder: SlotHolder | undefined): Runner<R> {
    if (this.#busy === this.#all.length) this.#all.push(new Runner(this.#busy));
    const runner = this.#all[this.#busy++]!;
    runner.run = run;
    runner.holder = holder;
    runner.context = new BodyContext();
    return runner;
  }

  release(runner: Runner<R>): void {
    runner.run = runner.holder = runner.context = undefined;
    const last = --this.#busy;
    this.#put(this.#all[last]!, runner.place);
    this.#put(runner, last);
    if (this.#all.length - this.#busy > MOST_IDLE) this.#all.pop();
  }

  /** The running bodies. */
  get runs(): R[] {
    return this.#all.slice(0, this.#busy).map((runner) => runner.run!);
  }

  #put(runner: Runner<R>, place: number): void {
    this.#all[place] = runner;
    runner.place = place;
  }
}
