import type { ClusterClock, Engine, ExchangeReply, ExchangeRequest } from "../../cluster/mod.ts";

interface VirtualTimer {
  readonly due: number;
  readonly fire: () => void;
}

/**
 * Replaces `setTimeout`, so that a run depends on its seed alone. Time can pass with
 * timers, or leap past them as when a machine sleeps.
 */
export class VirtualTime implements Disposable {
  /** The time of the timers. */
  now = 0;
  /** How long the machines have slept. */
  #slept = 0;
  #timers: VirtualTimer[] = [];
  readonly #platform = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
  };

  constructor() {
    globalThis.setTimeout = ((fire: () => void, delay = 0) => {
      const timer = { due: this.now + delay, fire };
      this.#timers.push(timer);
      return timer;
    }) as unknown as typeof setTimeout;
    globalThis.clearTimeout = ((timer: VirtualTimer | undefined) => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    }) as unknown as typeof clearTimeout;
  }

  [Symbol.dispose](): void {
    Object.assign(globalThis, this.#platform);
  }

  /** The clock of a process; `ahead`: the error of its date. */
  clock(ahead = 0): ClusterClock {
    return { now: () => this.now, wall: () => this.now + this.#slept + ahead };
  }

  /** The clock of the engine. */
  readonly engineNow = (): number => 1_000_000 + this.now + this.#slept;

  get pending(): number {
    return this.#timers.length;
  }

  sleep(duration: number): void {
    this.#slept += duration;
  }

  /** Advances the time, and runs everything that is due. */
  async pass(duration: number, afterEach = () => {}): Promise<void> {
    const until = this.now + duration;
    await settle();
    for (;;) {
      const next = this.#timers.reduce<VirtualTimer | undefined>(
        (first, timer) => first === undefined || timer.due < first.due ? timer : first,
        undefined,
      );
      if (next === undefined || next.due > until) break;
      this.now = Math.max(this.now, next.due);
      this.#timers = this.#timers.filter((timer) => timer !== next);
      next.fire();
      afterEach();
      await settle();
      afterEach();
    }
    this.now = until;
  }
}

/** Runs all microtasks. */
export async function settle(): Promise<void> {
  for (let hop = 0; hop < 60; hop++) await undefined;
}

/** The state of the connection to the engine: working, cut, cut for replies only, or slow. */
export type Way = "fine" | "cut" | "deaf" | { readonly delay: number };

/** An engine as one process reaches it. */
export class RemoteEngine implements Engine {
  readonly place = "remote";
  way: Way = "fine";
  exchanges = 0;
  readonly requests: ExchangeRequest[] = [];
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async exchange(
    key: string,
    request: ExchangeRequest,
    options: { signal: AbortSignal },
  ): Promise<ExchangeReply> {
    this.exchanges++;
    this.requests.push(request);
    const { way } = this;
    if (way === "cut") throw new Error("cut off");
    if (typeof way === "object") await passed(way.delay);
    const reply = await this.#engine.exchange(key, structuredClone(request), options);
    if (way === "deaf") throw new Error("the reply was lost");
    if (typeof way === "object") await passed(way.delay);
    return reply;
  }

  async wake(key: string, session: string, options: { signal: AbortSignal }): Promise<void> {
    if (this.way === "cut") throw new Error("cut off");
    await this.#engine.wake(key, session, options);
    if (this.way === "deaf") throw new Error("the wake was lost");
  }

  async status(key: string) {
    if (this.way === "cut") throw new Error("cut off");
    return await this.#engine.status(key);
  }
}

function passed(duration: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration));
}
