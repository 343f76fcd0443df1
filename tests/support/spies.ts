/** Counts the listeners that are added to any abort signal, and those that are still there. */
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
      // The pool's listeners are told once, and are gone then; or when another signal says so.
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

  /** How many of a signal's listeners have neither been removed nor told. */
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

/** Counts the timers that are made, and those still pending. Set it up before a `FakeTime`, or without. */
export class TimerSpy implements Disposable {
  made = 0;
  readonly delays: number[] = [];
  readonly #pending = new Set<unknown>();
  readonly #set = globalThis.setTimeout;
  readonly #clear = globalThis.clearTimeout;

  constructor() {
    const [set, clear] = [this.#set, this.#clear];
    const spied = (callback: (...args: unknown[]) => void, delay = 0, ...args: unknown[]) => {
      this.made++;
      this.delays.push(delay);
      const id = set(() => {
        this.#pending.delete(id);
        callback(...args);
      }, delay);
      this.#pending.add(id);
      return id;
    };
    globalThis.setTimeout = spied as typeof setTimeout;
    globalThis.clearTimeout = ((id?: Parameters<typeof clearTimeout>[0]) => {
      this.#pending.delete(id);
      clear(id);
    }) as typeof clearTimeout;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** How many of those pending keep the process alive. */
  get holding(): number {
    return [...this.#pending].filter((timer) => (timer as { hasRef(): boolean }).hasRef()).length;
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#set;
    globalThis.clearTimeout = this.#clear;
  }
}
