import type { Bounded, DeadlineQueue } from "../internal/deadline_queue.ts";
import { invoke } from "../internal/promise_like.ts";
import { shown } from "../internal/text.ts";
import type { PendingCall, Slot } from "./_slot.ts";
import type { PoolTimers } from "./_timers.ts";
import { closeResource, type Connector, type ConnectorContext } from "./connector.ts";
import type { TimeoutStage } from "./errors.ts";
import type { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import type { Permit } from "./semaphore.ts";
import type { RetireReason } from "./stats.ts";

/** The ways to prepare a resource: a probe and a check, a reset, or the connector's own work. */
export type PreparationKind = "probe" | "check" | "reset" | "accept";

/** The outcomes of connector calls. */
export interface CallEvents<T> {
  /** A dial has given a resource, which is to be initialised. Returns false if the pool has it already. */
  opened(slot: Slot<T>, resource: T): boolean;
  /** A dial that had been given up was admitted. */
  lateLeave(permit: Permit): void;
  /** A dial that had been given up has given a resource. */
  late(resource: T): void;
  /** A dial has succeeded. */
  connected(slot: Slot<T>): void;
  /** A dial has failed; if it was in `init`, the slot has a resource. */
  dialFailed(slot: Slot<T>, error: unknown): void;
  /** The resource is ready to be lent. */
  prepared(slot: Slot<T>, kind: PreparationKind): void;
  /** The resource is not fit to be lent. */
  unfit(slot: Slot<T>, kind: PreparationKind, error: unknown): void;
  /** The resource is closed, or its close has failed. */
  closed(slot: Slot<T>): void;
  /** A call has failed that is not awaited. */
  failed(error: unknown, stage: TimeoutStage): void;
  /** The error for a call that took too long. */
  timeoutError(stage: TimeoutStage, limit: number): Error;
}

/**
 * Calls the connector, each call with a time limit, and reports the outcome as an event. A
 * connector may answer, throw, reject, hang, or answer too late: each call has one outcome.
 */
export class ConnectorCalls<T, L extends Lease<T>> {
  readonly connector: Connector<T, L>;
  readonly options: ResolvedPoolOptions;
  readonly events: CallEvents<T>;
  readonly #timers: PoolTimers;
  #closed: AbortController | undefined;

  constructor(
    connector: Connector<T, L>,
    options: ResolvedPoolOptions,
    events: CallEvents<T>,
    timers: PoolTimers,
  ) {
    this.connector = connector;
    this.options = options;
    this.events = events;
    this.#timers = timers;
  }

  get limits(): DeadlineQueue {
    return this.#timers.deadlines;
  }

  /** Aborted when the pool is closed. */
  get closed(): AbortSignal {
    return (this.#closed ??= new AbortController()).signal;
  }

  abortClosed(reason: unknown): void {
    this.#closed?.abort(reason);
  }

  /** Awaits admission, dials, and initialises the resource. */
  dial(slot: Slot<T>, retire: DialContextRetire): void {
    const call = new Dial(this, slot, retire);
    slot.call = call;
    call.begin();
  }

  /** Awaits the connector's probe. */
  probe(slot: Slot<T>, probe: PromiseLike<void>): void {
    this.#prepare(slot, "probe", () => probe);
  }

  check(slot: Slot<T>): void {
    this.#prepare(slot, "check", (call) => this.connector.check!(slot.resource, contextOf(call)));
  }

  reset(slot: Slot<T>): void {
    this.#prepare(slot, "reset", (call) => this.connector.reset!(slot.resource, contextOf(call)));
  }

  /** Runs the connector's own work on a resource that was idle. */
  accept(slot: Slot<T>, work: (context: ConnectorContext) => PromiseLike<void>): void {
    this.#prepare(slot, "accept", (call) => work(contextOf(call)));
  }

  close(slot: Slot<T>, reason: RetireReason): void {
    const call = new Close(this, () => this.events.closed(slot));
    slot.call = call;
    call.run(() => closeResource(this.connector, slot.resource, reason));
  }

  /** Closes the resource of an abandoned dial. */
  closeLate(resource: T): void {
    const call = new Close(this, () => {});
    call.run(() => closeResource(this.connector, resource, "surplus"));
  }

  #prepare(
    slot: Slot<T>,
    kind: PreparationKind,
    work: (call: BoundedCall) => unknown,
  ): void {
    const call = new Preparation(this, slot, kind);
    slot.call = call;
    call.run(() => work(call));
  }
}

/** What the connector is given. A probe has no need of it, and a signal takes long to make. */
function contextOf({ signal }: { readonly signal: AbortSignal }): ConnectorContext {
  return { signal };
}

/** The `retire` function that a resource's dial gets. */
export type DialContextRetire = Parameters<Connector<unknown>["connect"]>[0]["retire"];

/** One call into the connector, or several in a row under one limit. */
abstract class BoundedCall implements Bounded, PendingCall {
  readonly #limits: DeadlineQueue;
  deadline = Infinity;
  settled = false;
  /** How long it may take: the option may be changed meanwhile. */
  protected allowed = Infinity;
  #controller: AbortController | undefined = undefined;

  constructor(limits: DeadlineQueue) {
    this.#limits = limits;
  }

  abstract get stage(): TimeoutStage;
  protected abstract succeed(value: unknown): void;
  protected abstract fail(error: unknown): void;
  /** The limit has passed. */
  abstract expire(): void;

  /** Aborted when the call must stop. Created when it is first read. */
  get signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal;
  }

  abort(reason: unknown): void {
    if (!this.settled) this.#controller?.abort(reason);
  }

  cancel(reason: unknown): void {
    if (this.end()) this.#controller?.abort(reason);
  }

  giveUp(reason: unknown): void {
    if (!this.end()) return;
    this.fail(reason);
    this.#controller?.abort(reason);
  }

  /** Ends the call. Returns false if it had ended before. */
  protected end(): boolean {
    if (this.settled) return false;
    this.settled = true;
    this.#limits.drop(this, this.deadline);
    return true;
  }

  /** From now on the call is bounded. */
  protected limit(now: number, limit: number): void {
    if (this.settled) return;
    this.allowed = limit;
    this.deadline = now + limit;
    this.#limits.add(this, this.deadline, now);
  }
}

/** A call with one step. */
abstract class SimpleCall<T, L extends Lease<T>> extends BoundedCall {
  protected readonly calls: ConnectorCalls<T, L>;

  constructor(calls: ConnectorCalls<T, L>) {
    super(calls.limits);
    this.calls = calls;
  }

  run(call: () => unknown): void {
    const onError = (error: unknown) => this.giveUp(error ?? failedWithoutError(this.stage));
    invoke(call, (value) => this.#done(value), onError);
    const { options } = this.calls;
    this.limit(options.clock.now(), options.checkTimeout);
  }

  override expire(): void {
    this.giveUp(this.calls.events.timeoutError(this.stage, this.allowed));
  }

  #done(value: unknown): void {
    if (this.end()) this.succeed(value);
  }
}

class Preparation<T, L extends Lease<T>> extends SimpleCall<T, L> {
  readonly #slot: Slot<T>;
  readonly #kind: PreparationKind;

  constructor(calls: ConnectorCalls<T, L>, slot: Slot<T>, kind: PreparationKind) {
    super(calls);
    this.#slot = slot;
    this.#kind = kind;
  }

  override get stage(): TimeoutStage {
    return this.#kind === "probe" ? "check" : this.#kind;
  }

  protected override succeed(value: unknown): void {
    if (this.#kind === "check" && !value) this.fail(undefined);
    else this.calls.events.prepared(this.#slot, this.#kind);
  }

  protected override fail(error: unknown): void {
    this.calls.events.unfit(this.#slot, this.#kind, error);
  }
}

class Close<T, L extends Lease<T>> extends SimpleCall<T, L> {
  readonly #onClosed: () => void;

  constructor(calls: ConnectorCalls<T, L>, onClosed: () => void) {
    super(calls);
    this.#onClosed = onClosed;
  }

  override get stage(): TimeoutStage {
    return "close";
  }

  protected override succeed(): void {
    this.#onClosed();
  }

  protected override fail(error: unknown): void {
    this.calls.events.failed(error, "close");
    this.#onClosed();
  }
}

/** A dial: `admit`, which has no limit, then `connect` and `init` under one. */
class Dial<T, L extends Lease<T>> extends BoundedCall {
  readonly #calls: ConnectorCalls<T, L>;
  readonly #slot: Slot<T>;
  readonly #retire: DialContextRetire;
  #step: "admit" | "connect" | "init" = "admit";

  constructor(calls: ConnectorCalls<T, L>, slot: Slot<T>, retire: DialContextRetire) {
    super(calls.limits);
    this.#calls = calls;
    this.#slot = slot;
    this.#retire = retire;
  }

  override get stage(): TimeoutStage {
    return this.#step;
  }

  begin(): void {
    const { connector } = this.#calls;
    if (connector.admit === undefined) return this.#connect();
    const background = this.#slot.waiter === undefined;
    this.#await(
      () => connector.admit!({ signal: this.signal, background }),
      (permit) => this.#admitted(permit),
    );
  }

  override expire(): void {
    this.giveUp(this.#calls.events.timeoutError(this.stage, this.allowed));
  }

  protected override succeed(): void {
    this.#calls.events.connected(this.#slot);
  }

  protected override fail(error: unknown): void {
    this.#calls.events.dialFailed(this.#slot, error);
  }

  #admitted(permit: Permit): void {
    if (typeof permit?.release !== "function") {
      return this.giveUp(new TypeError(`admit() must give a permit: received ${shown(permit)}`));
    }
    if (this.settled) return this.#calls.events.lateLeave(permit);
    this.#slot.permit = permit;
    if (this.signal.aborted) return this.giveUp(this.signal.reason); // the pool was closed meanwhile
    this.#connect();
  }

  #connect(): void {
    const { connector, options } = this.#calls;
    this.#step = "connect";
    const context = {
      signal: this.signal,
      closed: this.#calls.closed,
      retire: this.#retire,
    };
    this.#await(() => connector.connect(context), (resource) => this.#opened(resource as T));
    this.limit(options.clock.now(), options.connectTimeout);
  }

  #opened(resource: T): void {
    const { connector, events } = this.#calls;
    if (this.settled) return events.late(resource);
    if (!events.opened(this.#slot, resource)) {
      return this.giveUp(new Error("connect() gave what the pool already holds"));
    }
    const isUnwanted = this.signal.aborted; // the pool was closed meanwhile
    if (connector.init === undefined || isUnwanted) return this.#done();
    this.#step = "init";
    this.#await(() => connector.init!(resource, { signal: this.signal }), () => this.#done());
  }

  #done(): void {
    if (this.end()) this.succeed();
  }

  #await<R>(call: () => R | PromiseLike<R>, onValue: (value: R) => void): void {
    invoke(call, onValue, (error) => this.giveUp(error ?? failedWithoutError(this.#step)));
  }
}

function failedWithoutError(method: string): Error {
  return new Error(`The connector's ${method}() failed without an error`);
}
