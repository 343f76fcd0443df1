/**
 * `FakeTime` as in `jsr:@std/testing/time`, which no npm package carries: its
 * names over `@sinonjs/fake-timers`. Two differences remain: a timer of 0 ms set
 * during a tick fires 1 ms later, and one that throws does not stop the tick.
 *
 * @module
 */

import FakeTimers from "npm:@sinonjs/fake-timers@15.5.0";

const realSetTimeout = setTimeout;
const realTimeoutSignal = AbortSignal.timeout;

let current: FakeTime | undefined;

/** A call that the state of the fake time does not allow. */
export class TimeError extends Error {
  override name = "TimeError";
}

/** Stands in for the clock and the timers until it is restored. */
export class FakeTime implements Disposable {
  readonly start: number;
  readonly #clock: ReturnType<typeof FakeTimers.install>;

  constructor(start?: number | string | Date | null) {
    if (current) throw new TimeError("Cannot construct FakeTime: time is already faked");
    this.start = new Date(start ?? Date.now()).valueOf();
    this.#clock = FakeTimers.install({
      now: this.start,
      toFake: ["Date", "setTimeout", "clearTimeout", "setInterval", "clearInterval"],
    });
    AbortSignal.timeout = timeoutSignal;
    current = this;
  }

  static restore(): void {
    if (!current) throw new TimeError("Cannot restore time: it is not faked");
    current.restore();
  }

  get now(): number {
    return this.#clock.now;
  }

  /** Fires on the way whatever is due by then, in order. */
  set now(value: number) {
    this.#clock.tick(value - this.now);
  }

  tick(ms = 0): void {
    this.#clock.tick(ms);
  }

  async tickAsync(ms = 0): Promise<void> {
    await this.runMicrotasks();
    this.tick(ms);
  }

  /** Goes to the next timer; `false` if there is none. */
  next(): boolean {
    if (this.#clock.countTimers() === 0) return false;
    this.#clock.next();
    return true;
  }

  async nextAsync(): Promise<boolean> {
    await this.runMicrotasks();
    return this.next();
  }

  runAll(): void {
    this.#clock.runAll();
  }

  async runAllAsync(): Promise<void> {
    while (await this.nextAsync());
  }

  /** A turn of the real event loop, as JSR's takes too. */
  async runMicrotasks(): Promise<void> {
    await this.delay(0);
  }

  /** Waits in real time. */
  async delay(ms: number): Promise<void> {
    await new Promise<void>((resolve) => realSetTimeout(resolve, ms));
  }

  restore(): void {
    if (current !== this) throw new TimeError("Cannot restore time: it is already restored");
    current = undefined;
    this.#clock.uninstall();
    AbortSignal.timeout = realTimeoutSignal;
  }

  [Symbol.dispose](): void {
    this.restore();
  }
}

/** The platform's counts real time whatever `setTimeout` is. */
function timeoutSignal(ms: number): AbortSignal {
  const controller = new AbortController();
  const reason = new DOMException("Signal timed out.", "TimeoutError");
  setTimeout(() => controller.abort(reason), ms);
  return controller.signal;
}
