import { type DeadlineQueue, Limit } from "../../internal/deadline_queue.ts";
import { errorText, oneLine, shown } from "../../internal/text.ts";
import { closeResource, type ConnectContext, type RetireOptions } from "../../pool/connector.ts";
import { PoolTimeoutError } from "../../pool/errors.ts";
import type { Permit } from "../../pool/semaphore.ts";
import { ask, type Endpoint, select, type Selection } from "./endpoint.ts";
import { type Admission, isPermit, type Leave, releasePermit } from "./ownership.ts";

// For how long, in milliseconds, callers wait for the probe of an endpoint that
// is down before another one is dialled, for the first of them beside it.
const PROBE_HEAD_START_MS = 250;

/** The input of a race, and the state that races share. */
export interface RaceContext {
  readonly endpoints: readonly Endpoint[];
  readonly selection: Selection;
  readonly attemptDelay: number;
  readonly now: () => number;
  /** How long attempts may take: a stall of the event loop does not count. */
  readonly limits: DeadlineQueue;
  /** Probes that go on without a waiting race. */
  readonly backgroundProbes: Set<Attempt>;
  /** The number of attempts so far. */
  turn: number;
}

/** The outcome of a race. */
export interface Winner {
  readonly endpoint: Endpoint;
  readonly resource: unknown;
  /** The result of the endpoint's `admit`. */
  readonly permit: Permit | undefined;
}

/**
 * - `dialling`: there are attempts in flight
 * - `waiting`: what happens next depends on another race's probe; there may be attempts in flight
 * - `aborted`: those in flight have been told to stop
 * - `settled`: the outcome is known; probes may go on in the background
 */
type RaceState = "dialling" | "waiting" | "aborted" | "settled";

/**
 * One call of `connect`: endpoint after endpoint, until one answers or none is
 * left. The next is dialled when one fails, or beside it when one takes long, as
 * in RFC 8305 ("Happy Eyeballs"); so a slow one does not use up all the time.
 */
export class Race implements AttemptEvents {
  readonly #context: RaceContext;
  readonly #call: ConnectContext;
  readonly #admission: Admission | undefined;
  readonly #untried: Set<Endpoint>;
  readonly #attempts = new Set<Attempt>();
  readonly #failures: EndpointFailure[] = [];
  readonly #onAbort = () => this.#abort();
  #latest: Attempt | undefined;
  #state: RaceState = "dialling";
  #endWait: () => void = () => {};
  #resolve!: (winner: Winner) => void;
  #reject!: (error: unknown) => void;

  constructor(context: RaceContext, call: ConnectContext, admission: Admission | undefined) {
    this.#context = context;
    this.#call = call;
    this.#admission = admission;
    this.#untried = new Set(context.endpoints);
  }

  run(): Promise<Winner> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#call.signal.addEventListener("abort", this.#onAbort);
      this.#next();
    });
  }

  slow(): void {
    this.#next();
  }

  opened(attempt: Attempt, winner: Winner): void {
    winner.endpoint.load.open++;
    this.#attempts.delete(attempt);
    this.#settle();
    for (const other of this.#attempts) this.#dismiss(other);
    this.#resolve(winner);
  }

  ended(attempt: Attempt, error: unknown): void {
    this.#attempts.delete(attempt);
    this.#context.backgroundProbes.delete(attempt);
    if (this.#state === "settled") return;
    this.#failures.push({ endpoint: attempt.endpoint, error });
    if (attempt === this.#latest) this.#next();
    this.#failIfOver();
  }

  #next(): void {
    if (this.#state !== "dialling") return;
    const { selection, now } = this.#context;
    const endpoint = select([...this.#untried], selection, now());
    if (endpoint?.breaker.isProbeAwaited) this.#awaitProbe(endpoint);
    else if (endpoint !== undefined) this.#begin(endpoint);
  }

  /** Waits, like other races, for the outcome of the endpoint's only probe. */
  #awaitProbe({ breaker, load }: Endpoint): void {
    this.#state = "waiting";
    load.waiting++;
    const unsubscribe = breaker.onChange(() => {
      this.#endWait();
      this.#state = "dialling";
      this.#next();
    });
    this.#endWait = () => {
      this.#endWait = () => {};
      load.waiting--;
      unsubscribe();
    };
  }

  #begin(endpoint: Endpoint): void {
    this.#untried.delete(endpoint);
    const attempt = new Attempt(endpoint, this.#context, this.#call, this);
    this.#latest = attempt;
    this.#attempts.add(attempt);
    attempt.run(this.#admission?.use(endpoint));
  }

  #abort(): void {
    this.#endWait();
    this.#state = "aborted";
    for (const attempt of this.#attempts) attempt.abort(this.#call.signal.reason);
    this.#failIfOver();
  }

  #failIfOver(): void {
    if (this.#state === "waiting" || this.#state === "settled" || this.#attempts.size > 0) return;
    const error = this.#state === "aborted"
      ? this.#call.signal.reason
      : unreachableError(this.#failures);
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.#endWait();
    this.#admission?.drop();
    this.#state = "settled";
    this.#call.signal.removeEventListener("abort", this.#onAbort);
  }

  #dismiss(attempt: Attempt): void {
    attempt.dismiss();
    if (attempt.isInBackground) this.#context.backgroundProbes.add(attempt);
  }
}

/** The events of an attempt for its race. */
export interface AttemptEvents {
  /** It is slow: the next attempt may begin in parallel. */
  slow(): void;
  /** It has a resource. */
  opened(attempt: Attempt, winner: Winner): void;
  /** It ended without a resource. */
  ended(attempt: Attempt, error: unknown): void;
}

/**
 * - `awaited`: the race waits for it
 * - `background`: the race is over; the attempt goes on as a probe of its endpoint
 * - `aborted`: its signal was aborted
 * - `over`: it has settled
 */
type AttemptState = "awaited" | "background" | "aborted" | "over";

/** What an attempt waits for: `admit`, `connect` or `init`. */
type AttemptPhase = "admit" | "connect" | "init";

/**
 * One dial of one endpoint: `admit`, `connect` and `init` of its connector. The
 * endpoint's time limit begins with `connect`: a wait for admission does not count.
 */
export class Attempt {
  readonly endpoint: Endpoint;
  readonly #context: RaceContext;
  readonly #call: ConnectContext;
  readonly #events: AttemptEvents;
  readonly #probe: number;
  #controller = new AbortController();
  readonly #limits: Limit[] = [];
  #state: AttemptState = "awaited";
  #phase: AttemptPhase = "admit";
  #permit: Permit | undefined;
  /** Not initialised yet. */
  #resource: unknown;
  #hasWon = false;
  #unsubscribe = () => {};
  #retire: (() => void) | undefined;

  constructor(
    endpoint: Endpoint,
    context: RaceContext,
    call: ConnectContext,
    events: AttemptEvents,
  ) {
    this.endpoint = endpoint;
    this.#context = context;
    this.#call = call;
    this.#events = events;
    this.#probe = endpoint.breaker.began(context.now());
    endpoint.load.waiting++;
    endpoint.lastTurn = ++context.turn;
  }

  /** Dials, with this leave if there is one already. */
  run(leave: Leave | undefined): void {
    if (leave !== undefined) this.#controller = leave.controller;
    const { breaker, connector, hasAdmit } = this.endpoint;
    const { attemptDelay } = this.#context;
    const { signal } = this.#controller;
    // The head start of an endpoint that is down begins here, even before admission, since other races wait too.
    const isDown = !breaker.isClosed;
    const headStart = isDown ? Math.min(attemptDelay, PROBE_HEAD_START_MS) : attemptDelay;
    const permit = leave?.permit ??
      (hasAdmit ? calling(() => connector.admit!({ signal })) : undefined);
    if (permit === undefined) {
      this.#connect(headStart);
    } else {
      if (isDown) this.#limit(headStart, this.#onSlow);
      else this.#unsubscribe = breaker.onChange(() => this.#forestall());
      permit.then((permit) => this.#admitted(permit, isDown ? Infinity : headStart), this.#onError);
    }
  }

  /**
   * The race is over. A probe goes on: otherwise an endpoint that answers more slowly than
   * the others would never be found up.
   */
  dismiss(): void {
    if (this.endpoint.breaker.isProbedBy(this.#probe)) this.#state = "background";
    else this.abort(new Error("Another endpoint has answered"));
  }

  /** Whether it goes on as a background probe. */
  get isInBackground(): boolean {
    return this.#state === "background";
  }

  /** Aborts it. Only a timeout counts against the endpoint. */
  abort(reason: unknown): void {
    if (!this.#end("aborted")) return;
    if (this.#phase !== "admit" && isTimeout(reason)) this.#blame(reason);
    else this.endpoint.breaker.abandoned(this.#probe, this.#context.now());
    this.#controller.abort(reason);
    this.#givePermitBack();
    if (this.#phase === "admit") this.#events.ended(this, reason);
    else if (this.#phase === "init") this.#discard(this.#resource);
  }

  /** The endpoint went down during the wait for admission: the failure of the other dial counts for this one. */
  #forestall(): void {
    const { error } = this.endpoint.breaker;
    this.#end("aborted");
    this.#controller.abort(error);
    this.#events.ended(this, error);
  }

  #admitted(permit: Permit, headStart: number): void {
    if (this.#state === "aborted") return releasePermit(permit);
    this.#unsubscribe();
    if (!isPermit(permit)) {
      const error = new TypeError(`admit() must give a permit: received ${shown(permit)}`);
      return this.#failed(error);
    }
    this.#permit = permit;
    this.#connect(headStart);
  }

  #connect(headStart: number): void {
    const { endpoint: { connector, load } } = this;
    const { attemptDelay } = this.#context;
    this.#phase = "connect";
    load.waiting--;
    load.connecting++;
    calling(() => connector.connect(this.#connectContext()))
      .then((resource) => this.#connected(resource), this.#onError);
    this.#limit(headStart, this.#onSlow);
    this.#limit(attemptDelay, () => this.#overrun(attemptDelay));
  }

  #connectContext(): ConnectContext {
    const { closed } = this.#call;
    const retire = (reason: unknown, options?: RetireOptions) => this.#retired(reason, options);
    const { signal } = this.#controller;
    return closed === undefined ? { signal, retire } : { signal, retire, closed };
  }

  /** Only the winning resource can be retired in the pool. */
  #retired(reason: unknown, options: RetireOptions | undefined): void {
    const retire = () => this.#call.retire?.(reason, options);
    if (this.#hasWon) retire();
    else this.#retire ??= retire;
  }

  #connected(resource: unknown): void {
    const { connector, hasInit } = this.endpoint;
    const { signal } = this.#controller;
    if (this.#state === "aborted") return this.#discard(resource);
    if (!hasInit) return this.#opened(resource);
    this.#phase = "init";
    this.#resource = resource;
    calling(() => connector.init!(resource, { signal }))
      .then(() => this.#opened(resource), this.#onError);
  }

  #opened(resource: unknown): void {
    const { endpoint } = this;
    const wasAwaited = this.#state === "awaited";
    if (!this.#end("over")) return; // while it was initialised: it is being closed
    if (wasAwaited) {
      this.#hasWon = true;
      this.#retire?.();
      this.#events.opened(this, { endpoint, resource, permit: this.#permit });
    } else {
      this.#givePermitBack();
      this.#discard(resource);
    }
    endpoint.breaker.succeeded();
  }

  readonly #onError = (error: unknown) => this.#failed(error);

  #failed(error: unknown): void {
    if (this.#end("over")) {
      this.#blame(error);
      if (this.#phase === "init") this.#close(this.#resource);
      this.#givePermitBack();
      this.#events.ended(this, error);
    } else if (this.#phase === "connect") {
      this.#events.ended(this, error);
    }
  }

  readonly #onSlow = () => {
    this.endpoint.breaker.late(this.#probe);
    this.#events.slow();
  };

  #overrun(attemptDelay: number): void {
    const error = new DOMException(`No answer within ${attemptDelay} ms`, "TimeoutError");
    if (this.#state === "background") this.abort(error);
    else this.#blame(error);
  }

  #blame(error: unknown): void {
    this.endpoint.load.forgetLosses();
    this.endpoint.breaker.failed(this.#probe, error, this.#context.now());
  }

  #givePermitBack(): void {
    const permit = this.#permit;
    this.#permit = undefined;
    if (permit !== undefined) releasePermit(permit);
  }

  /** Closes an unneeded resource, and ends. */
  #discard(resource: unknown): void {
    this.#close(resource).finally(() => this.#events.ended(this, undefined));
  }

  /** An error of this close cannot be reported. */
  async #close(resource: unknown): Promise<void> {
    try {
      await closeResource(this.endpoint.connector, resource, "surplus");
    } catch {
      // as with resources that the pool itself has given up
    }
  }

  /** Returns whether it had not ended before. */
  #end(state: "aborted" | "over"): boolean {
    if (this.#state === "aborted" || this.#state === "over") return false;
    this.#state = state;
    this.#unsubscribe();
    for (const limit of this.#limits) this.#lift(limit);
    if (this.#phase === "admit") this.endpoint.load.waiting--;
    else this.endpoint.load.connecting--;
    return true;
  }

  #limit(delay: number, callback: () => void): void {
    if (this.#state === "aborted" || this.#state === "over") return;
    const now = this.#context.now();
    const limit = new Limit(now + delay, () => {
      this.#lift(limit);
      callback();
    });
    this.#limits.push(limit);
    this.#context.limits.add(limit, limit.deadline, now);
  }

  #lift(limit: Limit): void {
    if (limit.settled) return;
    limit.settled = true;
    this.#context.limits.drop(limit, limit.deadline);
  }
}

/** Calls a member of a connector; a throw becomes a rejection. */
export async function calling<R>(call: () => R | PromiseLike<R>): Promise<R> {
  return await call();
}

function isTimeout(reason: unknown): boolean {
  const isOne = () =>
    reason instanceof PoolTimeoutError ||
    reason instanceof DOMException && reason.name === "TimeoutError";
  return ask(isOne, { onThrow: false, onPromise: false });
}

/** Why an endpoint could not be reached. */
export interface EndpointFailure {
  readonly endpoint: Endpoint;
  readonly error: unknown;
}

/** The errors that are not retryable. */
const finals = new WeakSet<object>();

/** The error that names the failed endpoints and why; it is retryable if one of the errors is. */
export function unreachableError(failures: readonly EndpointFailure[]): AggregateError {
  const reasons = failures.map(({ endpoint, error }) => {
    const { name } = endpoint;
    const text = describe(error);
    const saysWhere = name.includes(":") && text.includes(name);
    return saysWhere ? text : `${name} (${text})`;
  });
  const error = new AggregateError(
    failures.map(({ error }) => error),
    `No endpoint could be reached: ${reasons.join(", ")}`,
  );
  const mayRetry = failures.some(({ endpoint, error }) => endpoint.isRetryable(error));
  return mayRetry ? error : final(error);
}

/** Marks an error as not retryable. */
export function final<E extends Error>(error: E): E {
  finals.add(error);
  return error;
}

/** Whether it is marked as not retryable. */
export function isFinal(error: unknown): boolean {
  return finals.has(error as object);
}

function describe(error: unknown): string {
  const isError = ask(() => error instanceof Error, { onThrow: false, onPromise: false });
  return isError ? errorText(error) : oneLine(shown(error));
}
