import type { Clock } from "../internal/clock.ts";
import { ignoreResult } from "../internal/promise_like.ts";
import { oneLine, withoutPasswords } from "../internal/text.ts";
import type { Capacity } from "./_capacity.ts";
import type { DeferredActions } from "./_deferred_actions.ts";
import type { Slot, SlotTable } from "./_slot.ts";
import type { Waiter, WaitQueue } from "./_wait_queue.ts";
import type { Connector } from "./connector.ts";
import {
  type ConnectFailure,
  type ExhaustedLimit,
  PoolClosedError,
  PoolExhaustedError,
  type PoolInfo,
  PoolOverloadedError,
  PoolTimeoutError,
  type TimeoutStage,
} from "./errors.ts";
import type { ErrorSource, PoolHooks } from "./hooks.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import { framesOf, HELD_SHOWN } from "./report.ts";
import { Counters, type PoolStats, type RetireReason } from "./stats.ts";

type HookName = keyof PoolHooks;
type EventOf<N extends HookName> = Parameters<NonNullable<PoolHooks[N]>>[0];

/** A hook, bound to the object that it was given in. */
type Listener = (event: never) => unknown;

/** A dial that failed, and when. */
export interface DatedFailure {
  readonly error: unknown;
  /** By the monotonic clock. */
  readonly at: number;
}

/** The state that the reporter reads. */
export interface ReporterSources {
  readonly connector: Pick<Connector<unknown>, "place" | "lingering">;
  readonly capacity: Pick<Capacity, "maxSize" | "shared">;
  readonly key: string | undefined;
}

const FAILURES_KEPT = 5;
const NO_FAILURES: readonly DatedFailure[] = [];

type Listeners = Readonly<Record<HookName, Listener[] | undefined>>;

/** All names exist from the start, since lookups in objects of one shape are fastest. */
const NO_LISTENERS: Listeners = {
  onConnect: undefined,
  onAcquire: undefined,
  onRelease: undefined,
  onRetire: undefined,
  onReject: undefined,
  onLeak: undefined,
  onError: undefined,
};

/** Counts events, calls hooks once the state is consistent, and creates the errors about the pool. */
export class Reporter<T> {
  readonly counters = new Counters();
  /** The last failures of dials, the latest first. */
  failures: readonly DatedFailure[] = NO_FAILURES;
  readonly #options: ResolvedPoolOptions;
  readonly #clock: Clock;
  readonly #actions: DeferredActions;
  readonly #slots: SlotTable<T>;
  readonly #queue: WaitQueue;
  readonly #sources: ReporterSources;
  #listeners: Listeners = NO_LISTENERS;
  /** Whether the last dial failed. */
  #isDown = false;

  constructor(
    options: ResolvedPoolOptions,
    actions: DeferredActions,
    slots: SlotTable<T>,
    queue: WaitQueue,
    sources: ReporterSources,
  ) {
    this.#options = options;
    this.#clock = options.clock;
    this.#actions = actions;
    this.#slots = slots;
    this.#queue = queue;
    this.#sources = sources;
    this.observe(options.hooks);
  }

  /** Adds hooks. They are read once. Returns a function that takes them away again. */
  observe(hooks: PoolHooks<never>): () => void {
    const added: [HookName, Listener][] = [];
    for (const name of HOOK_NAMES) {
      const hook = hooks[name];
      if (hook === undefined) continue;
      const listener: Listener = (event) => hook.call(hooks, event);
      added.push([name, listener]);
    }
    for (const [name, listener] of added) {
      this.#listen(name, [...this.#listeners[name] ?? [], listener]);
    }
    return () => {
      for (const [name, listener] of added) {
        const rest = this.#listeners[name]!.filter((each) => each !== listener);
        this.#listen(name, rest.length > 0 ? rest : undefined);
      }
      added.length = 0;
    };
  }

  #listen(name: HookName, listeners: Listener[] | undefined): void {
    this.#listeners = { ...this.#listeners, [name]: listeners };
  }

  connected(slot: Slot<T>, duration: number): void {
    this.counters.dials.ok++;
    this.counters.sums.dial += duration;
    this.#isDown = false;
    if (this.#listeners.onConnect !== undefined) {
      this.#emit("onConnect", { resource: slot.resource, duration });
    }
  }

  dialFailed(error: unknown, stage: TimeoutStage): void {
    this.counters.dials.failed++;
    this.#isDown = true;
    const latest = { error, at: this.#clock.now() };
    this.failures = [latest, ...this.failures.slice(0, FAILURES_KEPT - 1)];
    this.error(error, stage === "init" || stage === "admit" ? stage : "connect");
  }

  acquired(slot: Slot<T>, waited: number | undefined): void {
    const { acquires, sums } = this.counters;
    if (waited === undefined) acquires.direct++;
    else {
      acquires.waited++;
      sums.wait += waited;
    }
    if (this.#listeners.onAcquire !== undefined) {
      const { resource, uses } = slot;
      this.#emit("onAcquire", { resource, waited: waited ?? 0, reused: uses > 1 });
    }
  }

  released(slot: Slot<T>, now: number): void {
    const { counters } = this;
    const held = now - slot.leasedAt;
    counters.uses++;
    counters.sums.use += held;
    if (this.#listeners.onRelease !== undefined) {
      this.#emit("onRelease", { resource: slot.resource, held });
    }
  }

  /** A lease has ended, but not by a release. */
  ended(slot: Slot<T>): void {
    this.counters.uses++;
    this.counters.sums.use += this.#clock.wall() - slot.leasedAt;
  }

  retired(slot: Slot<T>, reason: RetireReason, detail: unknown): void {
    this.counters.countRetired(reason);
    if (this.#listeners.onRetire === undefined) return;
    const { resource, uses, openedAt } = slot;
    const age = this.#clock.wall() - openedAt;
    this.#emit("onRetire", {
      resource,
      reason,
      age,
      uses,
      ...(detail !== undefined && { detail }),
    });
  }

  rejected(waiter: Waiter, error: unknown): void {
    if (this.#listeners.onReject === undefined) return;
    this.#emit("onReject", { error, waited: this.#clock.now() - waiter.since });
  }

  /** A call was rejected without a wait. */
  refused(error: unknown): void {
    if (this.#listeners.onReject !== undefined) this.#emit("onReject", { error, waited: 0 });
  }

  leaked(slot: Slot<T>, now: number): void {
    if (this.#listeners.onLeak === undefined) return;
    const { resource, leasedAt, acquiredAt } = slot;
    const event = { resource, held: now - leasedAt, acquiredAt: framesOf(acquiredAt?.stack) };
    this.#emit("onLeak", event);
  }

  error(error: unknown, source: ErrorSource): void {
    if (this.#listeners.onError !== undefined) this.#emit("onError", { error, source });
  }

  get stats(): PoolStats {
    const slots = this.#slots;
    const { acquires, dials, retired, sums, uses } = this.counters;
    const { maxSize, shared } = this.#sources.capacity;
    return {
      maxSize,
      size: slots.size,
      leased: slots.leased,
      idle: slots.idle.size,
      connecting: slots.connecting,
      preparing: slots.preparing,
      closing: slots.closing,
      lingering: this.#lingering,
      waiting: this.#queue.size,
      ...(shared !== undefined && { shared }),
      acquires: { ...acquires },
      dials: { ...dials },
      retired: { ...retired },
      durations: {
        acquire: { count: acquires.direct + acquires.waited, sum: sums.wait },
        wait: { count: acquires.waited, sum: sums.wait },
        use: { count: uses, sum: sums.use },
        dial: { count: dials.ok, sum: sums.dial },
      },
    };
  }

  /** The place of the pool, in one line and without passwords. */
  get place(): string | undefined {
    try {
      const { place } = this.#sources.connector;
      return typeof place === "string" ? withoutPasswords(oneLine(place)) : undefined;
    } catch {
      return undefined;
    }
  }

  /** The identity and the state of the pool, for an error. */
  get info(): PoolInfo {
    const { name } = this.#options;
    const { key } = this.#sources;
    const { place } = this;
    return {
      ...(name !== undefined && { name }),
      ...(place !== undefined && { place }),
      ...(key !== undefined && { key }),
      stats: this.stats,
    };
  }

  closedError(): PoolClosedError {
    return new PoolClosedError(this.info);
  }

  exhaustedError(limit: ExhaustedLimit): PoolExhaustedError {
    return new PoolExhaustedError(limit, this.info, this.lastFailure);
  }

  overloadedError(waited: number): PoolOverloadedError {
    return new PoolOverloadedError(waited, this.info);
  }

  /** The error of a caller that timed out. */
  lateError(stage: TimeoutStage, timeout: number, isPaused = false): PoolTimeoutError {
    const why = isPaused ? "; the pool is paused" : this.#holders(stage);
    return new PoolTimeoutError(stage, timeout, this.info, this.lastFailure, why);
  }

  /** The error of a connector call that took too long. */
  timeoutError(stage: TimeoutStage, limit: number): PoolTimeoutError {
    return new PoolTimeoutError(stage, limit, this.info);
  }

  /** How many connections were given up that the system can't free yet. */
  get #lingering(): number {
    try {
      const count: unknown = this.#sources.connector.lingering?.();
      ignoreResult(count, () => {}); // it must not be asynchronous
      return Number(count ?? 0) || 0;
    } catch {
      return 0; // stats are read in the middle of decisions, which must not fail
    }
  }

  /** How the last dial failed, if it did. */
  get lastFailure(): ConnectFailure | undefined {
    const [last] = this.failures;
    if (!this.#isDown || last === undefined) return undefined;
    return { error: last.error, ago: this.#clock.now() - last.at };
  }

  /** The leases that callers wait for. */
  #holders(stage: TimeoutStage): string {
    if (stage !== "wait" || this.#slots.leased === 0) return "";
    if (!this.#options.track) return "; the option `track` tells where leases were acquired";
    const now = this.#clock.wall();
    const leased = [...this.#slots].filter(({ state }) => state === "leased");
    const longest = leased.sort((a, b) => a.leasedAt - b.leasedAt).slice(0, HELD_SHOWN);
    const lines = longest.map(({ leasedAt, acquiredAt }) =>
      `\n  held for ${now - leasedAt} ms${placeOf(framesOf(acquiredAt?.stack))}`
    );
    return `; the longest held of ${leased.length}:${lines.join("")}`;
  }

  #emit<N extends HookName>(name: N, event: EventOf<N>): void {
    const listeners = this.#listeners[name]!;
    this.#actions.add(() => {
      for (const listener of listeners) this.#call(listener, event, name);
    });
  }

  #call(listener: Listener, event: unknown, name: HookName): void {
    const onError = (error: unknown) => this.#hookFailed(error, name);
    try {
      ignoreResult(listener(event as never), onError);
    } catch (error) {
      onError(error);
    }
  }

  /** Throws an error of `onError`, or one without an `onError`, to the runtime. */
  #hookFailed(error: unknown, name: HookName): void {
    const listeners = name === "onError" ? undefined : this.#listeners.onError;
    if (listeners === undefined) {
      queueMicrotask(() => {
        throw error;
      });
      return;
    }
    for (const listener of listeners) this.#call(listener, { error, source: "hook" }, "onError");
  }
}

const HOOK_NAMES: readonly HookName[] = [
  "onConnect",
  "onAcquire",
  "onRelease",
  "onRetire",
  "onReject",
  "onLeak",
  "onError",
];

function placeOf(frames: string): string {
  const [first] = frames.split("\n");
  return first === "" || first === undefined ? "" : `, acquired ${first.trim()}`;
}
