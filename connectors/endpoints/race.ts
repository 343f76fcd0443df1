import { shown } from "../../internal/text.ts";
import { setTimer, type Timer } from "../../internal/timer.ts";
import { closeResource, type ConnectContext } from "../../pool/connector.ts";
import { PoolTimeoutError } from "../../pool/errors.ts";
import { type Endpoint, select, type Selection } from "./endpoint.ts";

// For how long, in milliseconds, callers wait for the probe of an endpoint that
// is down before another one is dialled, for the first of them beside it.
const PROBE_HEAD_START_MS = 250;

/** What a race goes by, and leaves behind for the next. */
export interface RaceContext {
  readonly endpoints: readonly Endpoint[];
  readonly selection: Selection;
  readonly attemptDelay: number;
  readonly now: () => number;
  /** Probes that go on although nobody waits for them any more. */
  readonly backgroundProbes: Set<Attempt>;
  /** How many attempts there have been. */
  turn: number;
}

/** What a race has brought. */
export interface Winner {
  readonly endpoint: Endpoint;
  readonly resource: unknown;
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
  readonly #untried: Set<Endpoint>;
  readonly #attempts = new Set<Attempt>();
  readonly #failures: EndpointFailure[] = [];
  readonly #onAbort = () => this.#abort();
  #latest: Attempt | undefined;
  #state: RaceState = "dialling";
  #endWait: () => void = () => {};
  #resolve!: (winner: Winner) => void;
  #reject!: (error: unknown) => void;

  constructor(context: RaceContext, call: ConnectContext) {
    this.#context = context;
    this.#call = call;
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

  opened(attempt: Attempt, resource: unknown): void {
    const { endpoint } = attempt;
    endpoint.load.open++;
    this.#attempts.delete(attempt);
    this.#settle();
    for (const other of this.#attempts) this.#dismiss(other);
    this.#resolve({ endpoint, resource });
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

  /** Waits, as other races do, for the outcome of an endpoint's probe: it is one for all. */
  #awaitProbe({ breaker, load }: Endpoint): void {
    this.#state = "waiting";
    load.waiting++;
    const unsubscribe = breaker.onChange(() => {
      if (this.#state !== "waiting") return;
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
    const { attemptDelay, now } = this.#context;
    this.#untried.delete(endpoint);
    const attempt = new Attempt(endpoint, ++this.#context.turn, now, this);
    this.#latest = attempt;
    this.#attempts.add(attempt);
    attempt.run(attemptDelay, this.#call);
  }

  #abort(): void {
    this.#endWait();
    this.#state = "aborted";
    for (const attempt of this.#attempts) attempt.abort(this.#call.signal.reason);
    this.#failIfOver();
  }

  #failIfOver(): void {
    if (this.#state === "waiting" || this.#attempts.size > 0) return;
    const error = this.#state === "aborted"
      ? this.#call.signal.reason
      : unreachableError(this.#failures);
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.#endWait();
    this.#state = "settled";
    this.#call.signal.removeEventListener("abort", this.#onAbort);
  }

  #dismiss(attempt: Attempt): void {
    attempt.dismiss();
    if (attempt.isInBackground) this.#context.backgroundProbes.add(attempt);
  }
}

/** What an attempt reports to the race that began it. */
export interface AttemptEvents {
  /** It takes long: the next may begin beside it. */
  slow(): void;
  /** It has brought what is awaited. */
  opened(attempt: Attempt, resource: unknown): void;
  /** It is over, and has brought nothing. */
  ended(attempt: Attempt, error: unknown): void;
}

/**
 * - `awaited`: the race waits for it
 * - `background`: the race is over; the attempt goes on for what it tells of its endpoint
 * - `aborted`: it has been told to stop
 * - `over`: it has settled
 */
type AttemptState = "awaited" | "background" | "aborted" | "over";

/** One dial of one endpoint. */
export class Attempt {
  readonly endpoint: Endpoint;
  readonly #now: () => number;
  readonly #events: AttemptEvents;
  readonly #probe: number;
  readonly #controller = new AbortController();
  readonly #timers: (Timer | undefined)[] = [];
  #state: AttemptState = "awaited";

  constructor(endpoint: Endpoint, turn: number, now: () => number, events: AttemptEvents) {
    this.endpoint = endpoint;
    this.#now = now;
    this.#events = events;
    this.#probe = endpoint.breaker.began(now());
    endpoint.load.connecting++;
    endpoint.lastTurn = turn;
  }

  /** Dials. An endpoint that does not answer within `attemptDelay` counts as down. */
  run(attemptDelay: number, call: ConnectContext): void {
    const { breaker } = this.endpoint;
    const headStart = breaker.isClosed ? attemptDelay : Math.min(attemptDelay, PROBE_HEAD_START_MS);
    this.#connect(call).then((resource) => this.#opened(resource), (error) => this.#failed(error));
    this.#after(headStart, () => {
      breaker.late(this.#probe);
      this.#events.slow();
    });
    this.#after(attemptDelay, () => this.#overrun(attemptDelay));
  }

  /**
   * The race is over. A probe goes on: otherwise an endpoint that is slower to
   * answer than the others would never be found to be back.
   */
  dismiss(): void {
    if (this.endpoint.breaker.isProbedBy(this.#probe)) this.#state = "background";
    else this.abort(new Error("Another endpoint has answered"));
  }

  /** Whether it goes on unasked. */
  get isInBackground(): boolean {
    return this.#state === "background";
  }

  /** Tells it to stop. That its time is over speaks against the endpoint; nothing else does. */
  abort(reason: unknown): void {
    if (!this.#end("aborted")) return;
    if (isTimeout(reason)) this.#blame(reason);
    else this.endpoint.breaker.abandoned(this.#probe);
    this.#controller.abort(reason);
  }

  async #connect(call: ConnectContext): Promise<unknown> {
    return await this.endpoint.connector.connect({ ...call, signal: this.#controller.signal });
  }

  #opened(resource: unknown): void {
    const isAwaited = this.#state === "awaited";
    this.#end("over");
    if (isAwaited) this.#events.opened(this, resource);
    else this.#close(resource).finally(() => this.#events.ended(this, undefined));
    this.endpoint.breaker.succeeded();
  }

  #failed(error: unknown): void {
    if (this.#end("over")) this.#blame(error);
    this.#events.ended(this, error);
  }

  #overrun(attemptDelay: number): void {
    const error = new DOMException(`No answer within ${attemptDelay} ms`, "TimeoutError");
    if (this.#state === "background") this.abort(error);
    else this.#blame(error);
  }

  #blame(error: unknown): void {
    this.endpoint.load.forgetLosses();
    this.endpoint.breaker.failed(this.#probe, error, this.#now());
  }

  /** Closes what came too late. That it would not close can be reported to nobody. */
  async #close(resource: unknown): Promise<void> {
    try {
      await closeResource(this.endpoint.connector, resource, "surplus");
    } catch {
      // as with what the pool itself has given up
    }
  }

  /** Returns whether it was still going on. */
  #end(state: "aborted" | "over"): boolean {
    if (this.#state === "aborted" || this.#state === "over") return false;
    this.#state = state;
    for (const timer of this.#timers) clearTimeout(timer);
    this.endpoint.load.connecting--;
    return true;
  }

  #after(delay: number, callback: () => void): void {
    if (this.#state === "awaited") this.#timers.push(setTimer(delay, callback));
  }
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof PoolTimeoutError ||
    reason instanceof DOMException && reason.name === "TimeoutError";
}

/** Why an endpoint could not be reached. */
export interface EndpointFailure {
  readonly endpoint: Endpoint;
  readonly error: unknown;
}

/** The errors that trying again can't mend. */
const finals = new WeakSet<Error>();

/** Says which endpoints failed and why; it is worth trying again if it is so with one of them. */
export function unreachableError(failures: readonly EndpointFailure[]): AggregateError {
  const reasons = failures.map(({ endpoint, error }) => `${endpoint.name} (${describe(error)})`);
  const error = new AggregateError(
    failures.map(({ error }) => error),
    `No endpoint could be reached: ${reasons.join(", ")}`,
  );
  const mayRetry = failures.some(({ endpoint, error }) => endpoint.isRetryable(error));
  return mayRetry ? error : final(error);
}

/** Marks an error as one that trying again can't mend. */
export function final<E extends Error>(error: E): E {
  finals.add(error);
  return error;
}

/** Whether trying again can't mend it. */
export function isFinal(error: unknown): boolean {
  return error instanceof Error && finals.has(error);
}

function describe(error: unknown): string {
  return error instanceof Error ? String(error) : shown(error);
}
