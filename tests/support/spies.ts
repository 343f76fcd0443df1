/**
 * Counts the listeners that are added to any abort signal, and those that are still there. A spy of
 * `@std/testing/mock` would record the calls only, not which listeners remain.
 */
export class ListenerSpy implements Disposable {
  added = 0;
  readonly #live = new Map<AbortSignal, Set<unknown>>();
  readonly #prototype = AbortSignal.prototype;
  readonly #add = AbortSignal.prototype.addEventListener;
  readonly #remove = AbortSignal.prototype.removeEventListener;

  constructor() {
    const [add, remove] = [this.#add, this.#remove];
    const added = (signal: AbortSignal, listener: unknown) => this.#added(signal, listener);
    const gone = (signal: AbortSignal, listener: unknown) => this.#gone(signal, listener);
    this.#prototype.addEventListener = function (this: AbortSignal, ...args: unknown[]) {
      added(this, args[1]);
      // The pool's listeners are registered with `once`, or end with another signal.
      const forget = () => gone(this, args[1]);
      add.call(this, "abort", forget, { once: true });
      const { signal } = (args[2] ?? {}) as AddEventListenerOptions;
      if (signal !== undefined) add.call(signal, "abort", forget, { once: true });
      return Reflect.apply(add, this, args);
    };
    this.#prototype.removeEventListener = function (this: AbortSignal, ...args: unknown[]) {
      gone(this, args[1]);
      return Reflect.apply(remove, this, args);
    };
  }

  /** The number of a signal's listeners that were neither removed nor called. */
  on(signal: AbortSignal): number {
    return this.#live.get(signal)?.size ?? 0;
  }

  [Symbol.dispose](): void {
    this.#prototype.addEventListener = this.#add;
    this.#prototype.removeEventListener = this.#remove;
  }

  #added(signal: AbortSignal, listener: unknown): void {
    this.added++;
    const listeners = this.#live.get(signal) ?? new Set();
    this.#live.set(signal, listeners.add(listener));
  }

  #gone(signal: AbortSignal, listener: unknown): void {
    this.#live.get(signal)?.delete(listener);
  }
}

/** Wraps a numeric timer in an object like the platform's. */
class NumberedTimer {
  #holds = true;

  constructor(readonly id: number) {}

  ref(): void {
    this.#holds = true;
  }

  unref(): void {
    this.#holds = false;
  }

  hasRef(): boolean {
    return this.#holds;
  }
}

/**
 * Counts the timers made and pending on the present `setTimeout`: the platform's, or
 * that of a `FakeTime`. Waiting for microtasks with the `FakeTime` removes the spy.
 */
export class TimerSpy implements Disposable {
  made = 0;
  readonly delays: number[] = [];
  readonly #pending = new Set<{ hasRef(): boolean }>();
  readonly #set = globalThis.setTimeout;
  readonly #clear = globalThis.clearTimeout;

  constructor() {
    const [set, clear] = [this.#set, this.#clear];
    const spied = (callback: (...args: unknown[]) => void, delay = 0, ...args: unknown[]) => {
      this.made++;
      this.delays.push(delay);
      const made: unknown = set(() => {
        this.#pending.delete(timer);
        callback(...args);
      }, delay);
      const timer = typeof made === "number"
        ? new NumberedTimer(made)
        : made as { hasRef(): boolean };
      this.#pending.add(timer);
      return timer;
    };
    globalThis.setTimeout = spied as unknown as typeof setTimeout;
    // deno-lint-ignore no-explicit-any
    globalThis.clearTimeout = (timer?: any) => {
      this.#pending.delete(timer);
      clear(timer instanceof NumberedTimer ? timer.id : timer);
    };
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** How many pending timers keep the process alive. */
  get holding(): number {
    return [...this.#pending].filter((timer) => timer.hasRef()).length;
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#set;
    globalThis.clearTimeout = this.#clear;
  }
}

/** Counts unhandled rejections, and keeps them from ending the test. */
export class RejectionSpy implements Disposable {
  readonly unhandled: unknown[] = [];
  readonly #listen = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    this.unhandled.push(event.reason);
  };

  constructor() {
    globalThis.addEventListener("unhandledrejection", this.#listen);
  }

  [Symbol.dispose](): void {
    globalThis.removeEventListener("unhandledrejection", this.#listen);
  }
}
