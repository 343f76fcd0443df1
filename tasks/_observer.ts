import type { StandstillEvent, TaskEndEvent, TaskPoolHooks, TaskStartEvent } from "./hooks.ts";
import type { UnreadFailures } from "./_unread_failures.ts";
import type { Tally } from "./stats.ts";

/** When a task was queued and when it began. */
export interface TaskTimes {
  readonly queuedAt: number;
  startedAt: number;
  readonly index: number | undefined;
}

/** Calls the hooks of a pool, and sums the times. */
export class Observer {
  readonly now: () => number;
  readonly #tally: Tally;
  readonly #failures: UnreadFailures;
  #hooks: readonly TaskPoolHooks[] = [];

  constructor(now: () => number, tally: Tally, failures: UnreadFailures) {
    this.now = now;
    this.#tally = tally;
    this.#failures = failures;
  }

  /** Whether the times of tasks are wanted. */
  isActive = false;

  /** Adds hooks. They are read once. Returns a function that takes them away again. */
  add(hooks: TaskPoolHooks): () => void {
    const added: TaskPoolHooks = {
      onStart: hooks.onStart?.bind(hooks),
      onEnd: hooks.onEnd?.bind(hooks),
      onStandstill: hooks.onStandstill?.bind(hooks),
    };
    this.#set([...this.#hooks, added]);
    return () => this.#set(this.#hooks.filter((each) => each !== added));
  }

  started(times: TaskTimes): void {
    times.startedAt = this.now();
    const waited = times.startedAt - times.queuedAt;
    this.#tally.waitTime += waited;
    const event: TaskStartEvent = { waited, ...indexOf(times) };
    this.#tell((hooks) => hooks.onStart?.(event));
  }

  ended(times: TaskTimes, outcome: TaskEndEvent["outcome"], error: unknown): void {
    const waited = times.startedAt - times.queuedAt;
    const duration = this.now() - times.startedAt;
    this.#tally.runTime += duration;
    const event: TaskEndEvent = {
      outcome,
      ...outcome !== "fulfilled" && { error },
      waited,
      duration,
      ...indexOf(times),
    };
    this.#tell((hooks) => hooks.onEnd?.(event));
  }

  standstill(event: StandstillEvent): void {
    this.#tell((hooks) => hooks.onStandstill?.(event));
  }

  /** Calls a user's callback, and handles its errors. */
  call(callback: () => unknown): void {
    const failed = (failure: unknown) => this.#failures.add({ failure });
    try {
      const returned = callback();
      if (isThenable(returned)) Promise.resolve(returned).catch(failed);
    } catch (reason) {
      failed(reason);
    }
  }

  #tell(notify: (hooks: TaskPoolHooks) => unknown): void {
    for (const hooks of this.#hooks) this.call(() => notify(hooks));
  }

  #set(hooks: readonly TaskPoolHooks[]): void {
    this.#hooks = hooks;
    this.isActive = hooks.some(({ onStart, onEnd }) =>
      onStart !== undefined || onEnd !== undefined
    );
  }
}

function indexOf({ index }: TaskTimes): { index?: number } {
  return index === undefined ? {} : { index };
}

function isThenable(value: unknown): boolean {
  return typeof value === "object" && value !== null && "then" in value;
}
