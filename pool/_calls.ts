import type { Monitor } from "./_monitor.ts";
import { Operation, type Outcome } from "./_operation.ts";
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
  }

  connect(slot: Slot<T>): void {
    const operation = this.#begin<T>(slot, {
      done: (resource) => this.#events.connected(slot, resource),
      failed: (error) => this.#events.connectFailed(slot, error ?? nothing("connect")),
      late: (resource) => this.#closeLate(resource),
    });
    const { signal } = operation;
    const { closed } = this.#slots;
    this.#run(operation, "connect", () => {
      const connector = this.#connector;
      const opened = connector.connect({ signal, closed });
      if (connector.init === undefined) return opened;
      return Promise.resolve(opened).then((resource) => this.#init(resource, signal));
    });
  }

  check(slot: Slot<T>): void {
    const operation = this.#begin<boolean>(slot, {
      done: (fit) => {
        if (fit) this.#events.prepared(slot);
        else this.#events.unfit(slot, "check", undefined);
      },
      failed: (error) => this.#events.unfit(slot, "check", error ?? nothing("check")),
    });
    const { signal } = operation;
    this.#run(operation, "check", () => this.#connector.check!(slot.resource, { signal }));
  }

  reset(slot: Slot<T>): void {
    const operation = this.#begin<void>(slot, {
      done: () => this.#events.wasReset(slot),
      failed: (error) => this.#events.unfit(slot, "reset", error ?? nothing("reset")),
    });
    const { signal } = operation;
    this.#run(operation, "reset", () => this.#connector.reset!(slot.resource, { signal }));
  }

  close(slot: Slot<T>): void {
    const operation = this.#begin<void>(slot, {
      done: () => this.#events.closed(slot),
      failed: (error) => {
        this.#monitor.error(error, "close");
        this.#events.closed(slot);
      },
    });
    this.#run(
      operation,
      "close",
      () => closeResource(this.#connector, slot.resource, slot.retireReason),
    );
  }

  /** A resource whose `init` does not succeed in time is closed. */
  async #init(resource: T, signal: AbortSignal): Promise<T> {
    const abandon = () => this.#closeLate(resource);
    signal.addEventListener("abort", abandon, { once: true });
    try {
      await this.#connector.init!(resource, { signal });
      signal.throwIfAborted();
    } catch (error) {
      if (!signal.aborted) this.#closeLate(resource);
      throw error;
    } finally {
      signal.removeEventListener("abort", abandon);
    }
    return resource;
  }

  /** Closes what a dial gave after it had been given up, unless it is in the pool all the same. */
  #closeLate(resource: T): void {
    if (this.#slots.holds(resource)) return;
    const operation = new Operation<void>({
      done: () => {},
      failed: (error) => {
        this.#monitor.error(error, "close");
        this.#events.proceed();
      },
    });
    this.#run(operation, "close", () => closeResource(this.#connector, resource, "surplus"));
  }

  #begin<R>(slot: Slot<T>, outcome: Outcome<R>): Operation<R> {
    const operation = new Operation(outcome);
    slot.operation = operation;
    return operation;
  }

  #run<R>(operation: Operation<R>, stage: TimeoutStage, call: () => R | PromiseLike<R>): void {
    const { connectTimeout, checkTimeout } = this.#options;
    const limit = stage === "connect" ? connectTimeout : checkTimeout;
    operation.run(call, limit, () => this.#monitor.timeoutError(stage, limit));
  }
}

function nothing(method: string): Error {
  return new Error(`The connector's ${method}() failed without an error`);
}
