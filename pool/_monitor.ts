import type { Agenda } from "./_agenda.ts";
import type { ConnectFailure } from "./errors.ts";
import { callHook, type ErrorSource, type PoolHooks, reportError } from "./hooks.ts";
import { Counters, type RetireReason } from "./stats.ts";

/** What the pool tells of itself: counts what happens, and has the hooks called once the pool is in order. */
export class Monitor {
  readonly counters = new Counters();
  readonly #hooks: PoolHooks;
  readonly #agenda: Agenda;
  readonly #clock: () => number;
  /** The last dial's failure, until a dial succeeds. */
  lastFailure: ConnectFailure | undefined;

  constructor(hooks: PoolHooks, agenda: Agenda, clock: () => number) {
    this.#hooks = hooks;
    this.#agenda = agenda;
    this.#clock = clock;
  }

  connected(resource: unknown): void {
    this.counters.dials.ok++;
    this.lastFailure = undefined;
    if (this.#hooks.onConnect !== undefined) {
      this.#tell((hooks) => hooks.onConnect!(resource));
    }
  }

  connectFailed(error: unknown): void {
    this.counters.dials.failed++;
    this.lastFailure = { error, at: this.#clock() };
    this.error(error, "connect");
  }

  acquired(resource: unknown, how: "direct" | "waited"): void {
    this.counters.acquires[how]++;
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

  #tell(call: (hooks: PoolHooks) => void): void {
    this.#agenda.add(() => callHook(this.#hooks, call));
  }
}
