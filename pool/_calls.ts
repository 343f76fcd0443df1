import { type BriefLimits, BriefOperation } from "./_brief_operation.ts";
import { Deadlines } from "./_deadlines.ts";
import type { Monitor } from "./_monitor.ts";
import { type Limit, Operation, type Outcome } from "./_operation.ts";
import type { Slot } from "./_slot.ts";
import type { Slots } from "./_slots.ts";
import { closeResource, type Connector } from "./connector.ts";
import type { TimeoutStage } from "./errors.ts";
import type { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";

/** What comes back from the connector, as events for the broker. */
export interface CallEvents<T> {
  connected(slot: Slot<T>, resource: T): void;
  connectFailed(slot: Slot<T>, error: unknown): void;
  /** The resource has been reset. */
  wasReset(slot: Slot<T>): void;
  /** The resource is fit to be lent. */
  prepared(slot: Slot<T>): void;
  /** A check or a reset found the resource unfit. */
  unfit(slot: Slot<T>, stage: "check" | "reset", error: unknown): void;
  /** The resource is lost, or would not settle. */
  lost(slot: Slot<T>, detail: unknown): void;
  /** The resource is closed, as well as could be. */
  closed(slot: Slot<T>): void;
  /** Nothing came of it that concerns a slot, but an error may be to be told. */
  proceed(): void;
}

/**
 * The pool's I/O: calls the connector's methods, each within its limit, and
 * brings the outcome back as an event.
 */
export class Calls<T, L extends Lease<T>> {
  readonly #connector: Connector<T, L>;
  readonly #options: ResolvedPoolOptions;
  readonly #slots: Slots<T>;
  readonly #monitor: Monitor<T, L>;
  readonly #events: CallEvents<T>;
  readonly #briefLimits: BriefLimits;

  constructor(
    connector: Connector<T, L>,
    options: ResolvedPoolOptions,
    slots: Slots<T>,
    monitor: Monitor<T, L>,
    events: CallEvents<T>,
  ) {
    this.#connector = connector;
    this.#options = options;
    this.#slots = slots;
    this.#monitor = monitor;
    this.#events = events;
    this.#briefLimits = new Deadlines(options.clock, (operation) => operation.expire());
  }

  connect(slot: Slot<T>): void {
    const operation = this.#begin<T>(slot, "connect", {
      done: (resource) => this.#events.connected(slot, resource),
      failed: (error) => this.#events.connectFailed(slot, error ?? nothing("connect")),
      late: (resource) => this.#closeLate(resource),
    });
    const { signal } = operation;
    const { closed } = this.#slots;
    operation.run(() => this.#connector.connect({ signal, closed }));
  }

  settle(slot: Slot<T>, settling: PromiseLike<void>, proceed: () => void): void {
    const outcome: Outcome<void> = {
      done: proceed,
      failed: (error) => this.#events.lost(slot, error),
    };
    const limit = this.#limitOf("check");
    const operation = new BriefOperation(outcome, limit, this.#briefLimits, this.#options.clock);
    slot.operation = operation as Operation<unknown>;
    operation.run(() => settling);
  }

  check(slot: Slot<T>): void {
    const operation = this.#begin<boolean>(slot, "check", {
      done: (fit) => {
        if (fit) this.#events.prepared(slot);
        else this.#events.unfit(slot, "check", undefined);
      },
      failed: (error) => this.#events.unfit(slot, "check", error ?? nothing("check")),
    });
    const { signal } = operation;
    operation.run(() => this.#connector.check!(slot.resource, { signal }));
  }

  reset(slot: Slot<T>): void {
    const operation = this.#begin<void>(slot, "reset", {
      done: () => this.#events.wasReset(slot),
      failed: (error) => this.#events.unfit(slot, "reset", error ?? nothing("reset")),
    });
    const { signal } = operation;
    operation.run(() => this.#connector.reset!(slot.resource, { signal }));
  }

  close(slot: Slot<T>): void {
    const operation = this.#begin<void>(slot, "close", {
      done: () => this.#events.closed(slot),
      failed: (error) => {
        this.#monitor.error(error, "close");
        this.#events.closed(slot);
      },
    });
    operation.run(() => closeResource(this.#connector, slot.resource));
  }

  /** The pool is closed: no timer is to be left. */
  shutDown(): void {
    this.#briefLimits.close();
  }

  /** Closes what a dial gave after it had been given up, unless it is in the pool all the same. */
  #closeLate(resource: T): void {
    if (this.#slots.holds(resource)) return;
    const outcome: Outcome<void> = {
      done: () => {},
      failed: (error) => {
        this.#monitor.error(error, "close");
        this.#events.proceed();
      },
    };
    const operation = new Operation(outcome, this.#limitOf("close"));
    operation.run(() => closeResource(this.#connector, resource));
  }

  #begin<R>(slot: Slot<T>, stage: TimeoutStage, outcome: Outcome<R>): Operation<R> {
    const operation = new Operation(outcome, this.#limitOf(stage));
    slot.operation = operation as Operation<unknown>;
    return operation;
  }

  #limitOf(stage: TimeoutStage): Limit {
    const { connectTimeout, checkTimeout } = this.#options;
    const duration = stage === "connect" ? connectTimeout : checkTimeout;
    return { duration, lateness: () => this.#monitor.timeoutError(stage, duration) };
  }
}

function nothing(method: string): Error {
  return new Error(`The connector's ${method}() failed without an error`);
}
