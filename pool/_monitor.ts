import type { Agenda } from "./_agenda.ts";
import type { Caller } from "./_caller.ts";
import type { Dialler } from "./_dialler.ts";
import type { Line } from "./_line.ts";
import type { Slots } from "./_slots.ts";
import {
  type ConnectFailure,
  PoolExhaustedError,
  PoolTimeoutError,
  type TimeoutStage,
} from "./errors.ts";
import { callHook, type ErrorSource, type PoolHooks, reportError } from "./hooks.ts";
import type { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import { Counters, type PoolStats, type RetireReason } from "./stats.ts";

/** What the pool tells of itself: counts what happens, and has the hooks called once the pool is in order. */
export class Monitor<T, L extends Lease<T>> {
  readonly counters = new Counters();
  readonly #hooks: PoolHooks;
  readonly #agenda: Agenda;
  readonly #clock: () => number;
  readonly #slots: Slots<T>;
  readonly #line: Line<T>;
  readonly #dialler: Dialler<T, L>;
  /** The last dial's failure, until a dial succeeds. */
  #lastFailure: ConnectFailure | undefined;

  constructor(
    { hooks, clock }: ResolvedPoolOptions,
    agenda: Agenda,
    slots: Slots<T>,
    line: Line<T>,
    dialler: Dialler<T, L>,
  ) {
    this.#hooks = hooks;
    this.#clock = clock;
    this.#agenda = agenda;
    this.#slots = slots;
    this.#line = line;
    this.#dialler = dialler;
  }

  connected(resource: unknown): void {
    this.counters.dials.ok++;
    this.#lastFailure = undefined;
    if (this.#hooks.onConnect !== undefined) {
      this.#tell((hooks) => hooks.onConnect!(resource));
    }
  }

  connectFailed(error: unknown): void {
    this.counters.dials.failed++;
    this.#lastFailure = { error, at: this.#clock() };
    this.error(error, "connect");
  }

  acquired(resource: unknown, how: "direct" | "waited"): void {
    if (how === "direct") this.counters.acquires.direct++;
    else this.counters.acquires.waited++;
    if (this.#hooks.onAcquire !== undefined) {
      this.#tell((hooks) => hooks.onAcquire!(resource));
    }
  }

  released(resource: unknown): void {
    if (this.#hooks.onRelease !== undefined) {
      this.#tell((hooks) => hooks.onRelease!(resource));
    }
  }

  retired(reason: RetireReason, resource: unknown, detail: unknown): void {
    this.counters.retired[reason]++;
    if (this.#hooks.onRetire !== undefined) {
      this.#tell((hooks) => hooks.onRetire!(reason, resource, detail));
    }
  }

  error(error: unknown, source: ErrorSource): void {
    if (this.#hooks.onError !== undefined) {
      this.#agenda.add(() => reportError(this.#hooks, error, source));
    }
  }

  get stats(): PoolStats {
    const slots = this.#slots;
    const { acquires, dials, retired } = this.counters;
    const { shared } = this.#dialler;
    return {
      maxSize: this.#dialler.maxSize,
      size: slots.size,
      leased: slots.leased,
      idle: slots.idle.size,
      connecting: slots.connecting,
      preparing: slots.preparing,
      closing: slots.closing,
      lingering: this.#dialler.lingering,
      waiting: this.#line.size,
      ...(shared !== undefined && { shared }),
      acquires: { ...acquires, timedOut: this.#line.timedOut, aborted: this.#line.aborted },
      dials: { ...dials },
      retired: { ...retired },
    };
  }

  /** What a caller is told who has waited too long. */
  latenessOf(caller: Caller<T>): PoolTimeoutError {
    const stage = caller.stage ?? (this.#dialler.room > 0 ? "connect" : "wait");
    const { timeout } = caller.request;
    return new PoolTimeoutError(stage, timeout, this.stats, this.#clock(), this.#lastFailure);
  }

  /** What a caller is told for whom there is nothing. */
  exhaustion(): PoolExhaustedError {
    return new PoolExhaustedError(this.stats);
  }

  /** What is said of a call into the connector that took too long. */
  timeoutError(stage: TimeoutStage, limit: number): PoolTimeoutError {
    return new PoolTimeoutError(stage, limit, this.stats, this.#clock());
  }

  #tell(call: (hooks: PoolHooks) => void): void {
    this.#agenda.add(() => callHook(this.#hooks, call));
  }
}
