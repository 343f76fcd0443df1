/**
 * `FakeTime` as in `jsr:@std/testing/time`, which no npm package carries: the
 * same names and the same rules, without `restoreFor` and `advanceRate`.
 *
 * @module
 */

const real = { Date, setTimeout, clearTimeout, setInterval, clearInterval };
const realTimeoutSignal = AbortSignal.timeout;

interface Timer {
  due: number;
  every?: number;
  callback: () => void;
}

let current: FakeTime | undefined;

/** A call that the state of the fake time does not allow. */
export class TimeError extends Error {
  override name = "TimeError";
}

/** Stands in for the clock and the timers until it is restored. */
export class FakeTime implements Disposable {
  readonly start: number;
  #now: number;
  #lastId = 0;
  readonly #timers = new Map<number, Timer>();

  constructor(start?: number | string | Date | null) {
    if (current) {
      throw new TimeError("Cannot construct FakeTime: time is already faked");
    }
    this.start = this.#now = new Date(start ?? Date.now()).valueOf();
    if (Number.isNaN(this.start)) {
      throw new TypeError(`Cannot construct FakeTime: invalid start ${start}`);
    }
    current = this;
    this.#install();
  }

  static restore(): void {
    if (!current) throw new TimeError("Cannot restore time: it is not faked");
    current.restore();
  }

  get now(): number {
    return this.#now;
  }

  /** Fires on the way whatever is due by then, in order. */
  set now(value: number) {
    if (value < this.#now) {
      throw new RangeError(`Cannot go back from ${this.#now} to ${value}`);
    }
    for (let id; (id = this.#nextId(value)) !== undefined;) this.#fire(id);
    this.#now = value;
  }

  tick(ms = 0): void {
    this.now += ms;
  }

  async tickAsync(ms = 0): Promise<void> {
    await this.runMicrotasks();
    this.tick(ms);
  }

  /** Goes to the next timer; `false` if there is none. */
  next(): boolean {
    const id = this.#nextId();
    if (id === undefined) return false;
    this.now = this.#timers.get(id)!.due;
    return true;
  }

  async nextAsync(): Promise<boolean> {
    await this.runMicrotasks();
    return this.next();
  }

  runAll(): void {
    while (this.next());
  }

  async runAllAsync(): Promise<void> {
    while (await this.nextAsync());
  }

  /** A turn of the real event loop, as JSR's takes too. */
  async runMicrotasks(): Promise<void> {
    await this.delay(0);
  }

  /** Waits in real time. */
  delay(ms: number, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = () => {
        real.clearTimeout(timer);
        reject(new DOMException("Delay was aborted.", "AbortError"));
      };
      const timer = real.setTimeout(() => {
        signal?.removeEventListener("abort", abort);
        resolve();
      }, ms);
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  restore(): void {
    if (current !== this) {
      throw new TimeError("Cannot restore time: it is already restored");
    }
    current = undefined;
    Object.assign(globalThis, real);
    AbortSignal.timeout = realTimeoutSignal;
  }

  [Symbol.dispose](): void {
    this.restore();
  }

  #install(): void {
    type Callback = (...args: unknown[]) => void;
    const set = (callback: Callback, ms = 0, ...args: unknown[]) =>
      this.#add(Math.max(0, Math.floor(ms)), () => callback(...args));
    const repeat = (callback: Callback, ms = 0, ...args: unknown[]) =>
      this.#add(Math.max(1, Math.floor(ms)), () => callback(...args), true);
    const clear = (id: number) => void this.#timers.delete(id);
    Object.assign(globalThis, {
      Date: fakeDate(() => this.#now),
      setTimeout: set,
      clearTimeout: clear,
      setInterval: repeat,
      clearInterval: clear,
    });
    AbortSignal.timeout = (ms) => {
      const controller = new AbortController();
      const reason = new DOMException("Signal timed out.", "TimeoutError");
      set(() => controller.abort(reason), ms);
      return controller.signal;
    };
  }

  #add(ms: number, callback: () => void, repeats = false): number {
    const id = ++this.#lastId;
    const due = this.#now + ms;
    this.#timers.set(id, { due, callback, ...(repeats && { every: ms }) });
    return id;
  }

  /** The timer that is due first, and of those the oldest. */
  #nextId(by = Infinity): number | undefined {
    let first: number | undefined;
    for (const [id, { due }] of this.#timers) {
      if (due < by || (due === by && first === undefined)) {
        [first, by] = [id, due];
      }
    }
    return first;
  }

  #fire(id: number): void {
    const timer = this.#timers.get(id)!;
    this.#timers.delete(id);
    this.#now = timer.due;
    if (timer.every !== undefined) {
      this.#timers.set(id, { ...timer, due: timer.due + timer.every });
    }
    timer.callback();
  }
}

function fakeDate(now: () => number): DateConstructor {
  return new Proxy(Date, {
    construct: (target, args, newTarget) =>
      Reflect.construct(target, args.length > 0 ? args : [now()], newTarget),
    apply: () => new real.Date(now()).toString(),
    get: (target, key) => key === "now" ? now : Reflect.get(target, key),
  });
}
