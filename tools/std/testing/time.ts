/**
 * `FakeTime` as in `jsr:@std/testing/time`, which no npm package has: the same names and
 * behaviour, except `FakeTimeOptions`.
 *
 * @module
 */

interface Timer {
  readonly id: number;
  readonly callback: Callback;
  readonly args: unknown[];
  readonly delay: number;
  readonly due: number;
  readonly repeats: boolean;
}

type Callback = (...args: unknown[]) => unknown;

interface DelayOptions {
  signal?: AbortSignal;
}

const { Date: RealDate, setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
const real = { Date: RealDate, setTimeout, clearTimeout, setInterval, clearInterval };
const realTimeoutSignal = AbortSignal.timeout;

let current: FakeTime | undefined;
let now: number;
let lastId: number;
/** In order of firing. */
let timers: Timer[];

/** A call that the state of the fake time does not allow. */
export class TimeError extends Error {
  override name = "TimeError";
}

/** Replaces the clock and the timers until it is restored. */
export class FakeTime implements Disposable {
  readonly start: number;

  constructor(start?: number | string | Date | null) {
    if (current) throw new TimeError("Cannot construct FakeTime: time is already faked");
    this.start = Math.floor(new RealDate(start ?? RealDate.now()).valueOf());
    if (Number.isNaN(this.start)) {
      throw new TypeError(`Cannot construct FakeTime: invalid start time ${start}`);
    }
    now = this.start;
    lastId = 0;
    timers = [];
    current = this;
    install();
  }

  static restore(): void {
    if (!current) throw new TimeError("Cannot restore time: time is already restored");
    current.restore();
  }

  /** Runs a function in real time. Afterwards the fakes are installed again, without anything over them. */
  static async restoreFor<T>(
    callback: (...args: unknown[]) => Promise<T> | T,
    ...args: unknown[]
  ): Promise<T> {
    if (!current) throw new TimeError("Cannot restore time: time is not faked");
    uninstall();
    let result: Promise<T> | T;
    try {
      result = callback(...args);
    } catch (error) {
      install();
      throw error;
    }
    if (result instanceof Promise) return await result.finally(install);
    install();
    return result;
  }

  get now(): number {
    return now;
  }

  /** Fires all timers that are due by then, in order. */
  set now(value: number) {
    if (value < now) {
      throw new RangeError(
        `Cannot set current time in the past, time must be >= ${now}: received ${value}`,
      );
    }
    while (timers.length > 0 && timers[0]!.due <= value) {
      const timer = timers.shift()!;
      now = timer.due;
      if (timer.repeats) insert({ ...timer, due: timer.due + timer.delay });
      timer.callback(...timer.args);
    }
    now = value;
  }

  tick(ms = 0): void {
    this.now += ms;
  }

  async tickAsync(ms = 0): Promise<void> {
    await this.runMicrotasks();
    this.now += ms;
  }

  /** Goes to the next timer; `false` if there is none. */
  next(): boolean {
    const [timer] = timers;
    if (timer) this.now = timer.due;
    return timer !== undefined;
  }

  async nextAsync(): Promise<boolean> {
    await this.runMicrotasks();
    return this.next();
  }

  runAll(): void {
    while (this.next());
  }

  async runAllAsync(): Promise<void> {
    while (timers.length > 0) await this.nextAsync();
  }

  /** A turn of the real event loop. */
  async runMicrotasks(): Promise<void> {
    await this.delay(0);
  }

  /** Waits in real time. */
  async delay(ms: number, { signal }: DelayOptions = {}): Promise<void> {
    const aborted = () => new DOMException("Delay was aborted.", "AbortError");
    if (signal?.aborted) throw aborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = await FakeTime.restoreFor(() => real.setTimeout(resolve, ms));
    const abort = () => reject(aborted());
    signal?.addEventListener("abort", abort);
    try {
      await promise;
    } finally {
      real.clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  restore(): void {
    if (!current) throw new TimeError("Cannot restore time: time is already restored");
    current = undefined;
    uninstall();
  }

  [Symbol.dispose](): void {
    this.restore();
  }
}

const FakeDate = new Proxy(RealDate, {
  construct: (target, args) => Reflect.construct(target, args.length === 0 ? [readNow()] : args),
  apply: () => new RealDate(readNow()).toString(),
  get: (target, key, receiver) => key === "now" ? readNow : Reflect.get(target, key, receiver),
});

function readNow(): number {
  return current ? now : RealDate.now();
}

const fakes = {
  Date: FakeDate,
  setTimeout: (callback: Callback, delay?: number, ...args: unknown[]) =>
    set("setTimeout", callback, delay, args, false),
  clearTimeout: clear,
  setInterval: (callback: Callback, delay?: number, ...args: unknown[]) =>
    set("setInterval", callback, delay, args, true),
  clearInterval: clear,
};

function install(): void {
  Object.assign(globalThis, fakes);
  AbortSignal.timeout = timeoutSignal;
}

function uninstall(): void {
  Object.assign(globalThis, real);
  AbortSignal.timeout = realTimeoutSignal;
}

/** Returns a number, like a browser, without `ref` and `unref`. */
function set(
  name: string,
  callback: Callback,
  delay = 0,
  args: unknown[],
  repeats: boolean,
): number {
  if (typeof callback !== "function") {
    throw new TimeError(`FakeTime does not support non-function callbacks to ${name}`);
  }
  if (!current) throw new TimeError(`Cannot call ${name}: time is not faked`);
  delay = Math.max(repeats ? 1 : 0, Math.floor(delay));
  insert({ id: ++lastId, callback, args, delay, due: now + delay, repeats });
  return lastId;
}

/** After those that are due at the same time. */
function insert(timer: Timer): void {
  timers.splice(timers.findLastIndex(({ due }) => due <= timer.due) + 1, 0, timer);
}

function clear(id?: unknown): void {
  if (!current) throw new TimeError("Cannot clear a timer: time is not faked");
  const index = timers.findIndex((timer) => timer.id === id);
  if (index >= 0) timers.splice(index, 1);
}

/** The platform's uses real time even if `setTimeout` is replaced. */
function timeoutSignal(ms: number): AbortSignal {
  const controller = new AbortController();
  const reason = new DOMException("Signal timed out.", "TimeoutError");
  set("setTimeout", () => controller.abort(reason), ms, [], false);
  return controller.signal;
}
