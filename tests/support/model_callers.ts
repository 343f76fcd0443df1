import {
  type AcquireOptions,
  type Lease,
  PoolClosedError,
  PoolExhaustedError,
  PoolTimeoutError,
  type UseOptions,
} from "../../pool/mod.ts";
import { ModelError, type Thing } from "./model_connector.ts";
import type { Journal } from "./model_journal.ts";
import { CONNECT_TIMEOUT, RETRY, type World } from "./model_world.ts";

/** Why a caller must reject from some moment on. */
interface Cause {
  readonly is: (error: unknown) => boolean;
  readonly seq: number;
}

/** One call to `acquire` or `use`. */
export interface Caller {
  readonly id: number;
  readonly signal: AbortSignal | undefined;
  readonly timeout: number;
  readonly priority: number;
  /** The deadline of its `use`, in the time of the timers. */
  readonly useDeadline: number;
  kind: "any" | "fresh";
  /** How long it waited for the first resource; both tries share one timeout. */
  waited: number;
  state: "waiting" | "served" | "refused";
  /** The step in which it arrived, or returned to the queue. */
  joined: number;
  arrival: number;
  /** When it arrived, or returned to the queue, in the time of the timers. */
  since: number;
  /** Like `arrival`, but at the end of the call: callbacks of the pool may call the pool meanwhile. */
  arrived: number;
  /** When it times out, in the time of the timers: it rejects then, and not before. */
  deadline: number;
  causes: Cause[];
  cameBack: boolean;
  /** Whether there was room for it when it arrived. */
  hadRoom: boolean;
  lease: Lease<Thing> | undefined;
}

const closed: Cause["is"] = (error) => error instanceof PoolClosedError;

/** The pool's errors about a connector that resolves to a pooled resource, or rejects with undefined. */
function isLie(error: unknown): boolean {
  return error instanceof Error &&
    /already holds|being opened|without an error/.test(error.message);
}

/** If a stale retry got no resource: the error for which it got none. */
function secondOf(error: unknown, first: unknown): unknown {
  return error instanceof AggregateError && error.cause === first ? error.errors[1] : error;
}

/** All calls for a lease, and when each must settle. */
export class Callers {
  readonly #journal: Journal;
  readonly #world: World;
  waiting: Caller[] = [];
  aborted = 0;
  /** How many calls certainly timed out, and how many may have. */
  readonly late = { certain: 0, possible: 0 };
  readonly #borrowers = new Map<Lease<Thing>, Caller>();
  #overtakings: { of: number; over: Caller; seq: number }[] = [];
  #count = 0;
  #arrivals = 0;

  constructor(journal: Journal, world: World) {
    this.#journal = journal;
    this.#world = world;
  }

  acquire(options: AcquireOptions): void {
    const caller = this.#join(options);
    const answer = this.#world.pool.acquire(options);
    caller.arrived = this.#arrivals++;
    answer.then(
      (lease) => this.#serve(caller, lease),
      (error) => this.#refuse(caller, error),
    );
  }

  use(options: UseOptions): void {
    const caller = this.#join(options);
    const thrown = new Error("the body's own");
    const body = (lease: Lease<Thing>) => {
      this.#serve(caller, lease);
      caller.waited = this.#journal.time.now - caller.since;
      if (options.retryStale) this.#borrowers.set(lease, caller);
      return new Promise<void>((resolve, reject) => {
        this.#world.bodies.push({ lease, end: resolve, fail: () => reject(thrown) });
      });
    };
    const answer = this.#world.pool.use(body, options);
    caller.arrived = this.#arrivals++;
    answer.then(() => {}, (error) => {
      const isGivenUp = error === thrown && options.signal?.aborted; // before it returned to the queue
      if (isGivenUp && caller.state === "waiting") this.#leave(caller, "refused");
      else if (caller.state === "waiting") this.#refuse(caller, secondOf(error, thrown));
      else if (error !== thrown && !this.#isCut(caller, error)) {
        this.#journal.violate(`use() rejects with ${error}`);
      }
    });
  }

  /** Whether the body of a use was ended by the signal or the deadline of the whole. */
  #isCut({ signal, useDeadline }: Caller, error: unknown): boolean {
    if (signal?.aborted && error === signal.reason) return true;
    const isDue = this.#journal.time.now >= useDeadline;
    return error instanceof PoolTimeoutError && error.stage === "use" && isDue;
  }

  tryAcquire(): void {
    const { pool, isOpen, isPaused } = this.#world;
    const isFree = pool.stats.waiting === 0;
    try {
      const lease = pool.tryAcquire();
      if (lease === undefined) return;
      this.#world.receive(lease);
      if (!isOpen || !isFree || isPaused) this.#journal.violate("tryAcquire() overtakes");
    } catch (error) {
      const isExpected = isOpen ? error instanceof ModelError : closed(error);
      if (!isExpected) this.#journal.violate(`tryAcquire() throws ${error}`);
    }
  }

  /** Announces an event that all callers, or those of a signal, must be told in this turn. */
  haveCause(what: "closed" | AbortSignal, reason?: unknown): void {
    const is = what === "closed" ? closed : (error: unknown) => error === reason;
    for (const caller of this.waiting) {
      if (what === "closed" || what === caller.signal) {
        caller.causes.push({ is, seq: this.#journal.seq });
      }
    }
    this.#journal.note();
  }

  /** The body of `use` is retried, and its caller returns to the queue. */
  comesBack(lease: Lease<Thing>): void {
    const caller = this.#borrowers.get(lease);
    if (caller === undefined) return this.#journal.violate("isStale() is asked for nothing");
    caller.kind = "fresh";
    this.#enter(caller);
    caller.arrived = Infinity;
    caller.cameBack = true;
    caller.hadRoom = false;
  }

  #join({ fresh = false, timeout, signal, priority = 0, deadline = Infinity }: UseOptions): Caller {
    const caller: Caller = {
      id: ++this.#count,
      kind: fresh ? "fresh" : "any",
      signal,
      timeout: timeout ?? this.#world.config.pool.acquireTimeout!,
      priority,
      useDeadline: this.#journal.time.now + deadline,
      waited: 0,
      state: "waiting",
      joined: 0,
      arrival: 0,
      since: 0,
      arrived: Infinity,
      deadline: 0,
      causes: [],
      cameBack: false,
      hadRoom: this.#hasRoom(),
      lease: undefined,
    };
    this.#enter(caller);
    this.#journal.note(() => `${caller.id} asks for ${caller.kind} within ${caller.timeout}`);
    return caller;
  }

  #enter(caller: Caller): void {
    const { time, seq, step } = this.#journal;
    const { signal, timeout } = caller;
    const limit = timeout > 0 ? timeout - caller.waited : CONNECT_TIMEOUT;
    caller.state = "waiting";
    caller.joined = step;
    caller.arrival = this.#arrivals++;
    caller.since = time.now;
    caller.deadline = Math.min(time.now + limit, caller.useDeadline);
    caller.causes = [];
    if (signal?.aborted) caller.causes.push({ is: (error) => error === signal.reason, seq });
    else if (!this.#world.isOpen) caller.causes.push({ is: closed, seq });
    this.waiting.push(caller);
  }

  #hasRoom(): boolean {
    const { pool, isPatient } = this.#world;
    const { size, maxSize, connecting, waiting } = pool.stats;
    const { limits, warmings, recyclings, isPaused } = this.#world;
    if (limits.minIdle > 0 || warmings + recyclings > 0) return false; // they may take the resource
    const mayDial = connecting < limits.maxConnecting && !isPatient && !isPaused;
    return waiting === 0 && size < maxSize && mayDial;
  }

  #leave(caller: Caller, state: Caller["state"]): void {
    if (caller.state !== "waiting") this.#journal.violate(`${caller.id} is answered twice`);
    caller.state = state;
    const index = this.waiting.indexOf(caller);
    if (index >= 0) this.waiting.splice(index, 1);
  }

  #serve(caller: Caller, lease: Lease<Thing>): void {
    this.#leave(caller, "served");
    const lend = this.#world.receive(lease);
    this.#journal.note(() => `${caller.id} gets ${lend?.thing.id}`);
    caller.lease = lease;
    const [cause] = caller.causes;
    if (lend !== undefined && cause !== undefined && lend.seq > cause.seq) {
      this.#journal.violate(`${caller.id} is served when it was to be refused`);
    }
    if (caller.kind === "fresh" && lease.reused) {
      this.#journal.violate(`${caller.id} gets a used thing for a fresh one`);
    }
    const isBefore = (other: Caller) =>
      other.kind === caller.kind && other.arrived < caller.arrival &&
      other.priority >= caller.priority && other.causes.length === 0;
    const seq = lend?.seq ?? 0;
    for (const { of, seq: other } of this.#overtakings.filter(({ over }) => over === caller)) {
      if (other < seq) this.#journal.violate(`${of} overtakes ${caller.id}`);
    }
    for (const other of this.waiting.filter(isBefore)) {
      this.#overtakings.push({ of: caller.id, over: other, seq });
    }
  }

  /**
   * Callers served while an earlier one waited. The earlier one may have settled already:
   * the reactions of a later promise run later.
   */
  checkOrder(): void {
    for (const { of, over } of this.#overtakings) {
      if (over.state === "waiting") this.#journal.violate(`${of} overtakes ${over.id}`);
    }
    this.#overtakings = [];
  }

  #refuse(caller: Caller, error: unknown): void {
    this.#leave(caller, "refused");
    this.#journal.note(() => `${caller.id} is refused: ${error}`);
    const [cause] = caller.causes;
    if (cause === undefined) return this.#checkRefusal(caller, error);
    // It may have been rejected before, by a call from within the pool.
    const seq = error instanceof ModelError ? error.seq : isLie(error) ? 0 : Infinity;
    const isOfDial = error instanceof ModelError || error instanceof PoolTimeoutError;
    const isForced = error instanceof PoolClosedError; // by the end of a close that serves waiters
    const isLate = seq <= cause.seq ||
      this.#journal.meddled && (isOfDial || isForced || isLie(error));
    const isAtOnce = caller.joined === this.#journal.step || this.#journal.meddled;
    const isExhausted = error instanceof PoolExhaustedError && isAtOnce;
    const isKnown = caller.causes.some(({ is }, index) =>
      (index === 0 || caller.cameBack) && is(error)
    );
    const isPaced = error instanceof ModelError && error.isForAll && isAtOnce;
    if (!isKnown && !isLate && !isExhausted && !isPaced) {
      this.#journal.violate(`${caller.id} is refused for another cause: ${error}`);
    }
    if (isLate && error instanceof PoolTimeoutError) this.#checkLateness(caller, error);
    if (error === caller.signal?.reason && error !== undefined) this.aborted++;
  }

  /** Whether a rejection is allowed. */
  #checkRefusal(caller: Caller, error: unknown): void {
    const { journal } = { journal: this.#journal };
    if (error instanceof ModelError) return this.#checkBlame(caller, error);
    if (error instanceof PoolTimeoutError) return this.#checkLateness(caller, error);
    if (error instanceof PoolExhaustedError) return this.#checkExhaustion(caller);
    const isOver = closed(error) && !this.#world.isOpen &&
      journal.time.clock() >= this.#world.forceFrom;
    if (isOver) return; // callers that the close could not serve within its timeout
    const isOfDial = error instanceof Error &&
      /already holds|being opened|without an error/.test(error.message);
    if (!isOfDial) journal.violate(`${caller.id} is refused without cause: ${error}`);
  }

  /** An error of a dial rejects its own caller only, unless all wait for that dial, or the failure is final. */
  #checkBlame(caller: Caller, error: ModelError): void {
    const isShared = this.#world.config.attempts > 1 || error.isForAll;
    if (error.told++ > 0 && !isShared) {
      this.#journal.violate(`${caller.id} hears of somebody else's ${error.message}`);
    }
    if (this.#journal.time.now > error.toldAt + RETRY.maxDelay) {
      this.#journal.violate(`${caller.id} hears of an old ${error.message}`);
    }
  }

  #checkLateness(caller: Caller, error: PoolTimeoutError): void {
    const isDial = error.message.split(":")[0]!.endsWith(`within ${CONNECT_TIMEOUT} ms`);
    if (isDial) this.late.possible++;
    else this.late.certain++;
    const isDue = this.#journal.time.now >= caller.deadline;
    if (!isDial && !isDue) this.#journal.violate(`${caller.id} is refused before its deadline`);
  }

  #checkExhaustion(caller: Caller): void {
    const isImpatient = caller.timeout === 0 ||
      this.#world.limits.maxWaiting !== Infinity && caller.joined === this.#journal.step;
    const isAlone = caller.joined === this.#journal.step && !this.#journal.isTangled;
    if (!isImpatient) this.#journal.violate(`${caller.id} would have waited`);
    if (isAlone && caller.hadRoom) this.#journal.violate(`${caller.id} had room`);
  }
}
