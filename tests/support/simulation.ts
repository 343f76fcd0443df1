import type { Clock } from "../../pool/mod.ts";
import { clockOf } from "./clocks.ts";
import { sameTurn } from "./until.ts";
import { VirtualTime } from "./virtual_time.ts";

/** Runs callers and resources in virtual time, so that figures depend on the seed alone. */
export class Simulation implements Disposable {
  readonly #time: VirtualTime;
  readonly clock: Clock;

  constructor(seed: number) {
    this.#time = new VirtualTime(seed);
    this.clock = clockOf(this.#time.clock);
  }

  [Symbol.dispose](): void {
    this.#time[Symbol.dispose]();
  }

  /** In milliseconds. */
  get now(): number {
    return this.#time.now;
  }

  /** The number of pending timers. */
  get pending(): number {
    return this.#time.pending;
  }

  readonly sleep = (duration: number): Promise<void> =>
    new Promise((resolve) => setTimeout(resolve, duration));

  /** A duration between these, at random. */
  readonly between = (least: number, most: number): number =>
    least + Math.random() * (most - least);

  /** Advances the time. */
  async run(duration: number): Promise<void> {
    const end = this.#time.now + duration;
    do await sameTurn(); while (this.#time.advance(end));
    await sameTurn();
  }
}
