import { Backoff } from "../internal/backoff.ts";
import { LONGEST_DELAY, type Timer } from "../internal/timer.ts";
import { type ClusterClock, type Mark, mark } from "./_clock.ts";
import { HeldPermits } from "./_held_permits.ts";
import { Waiters } from "./_waiters.ts";
import type { ClusterStatus, Engine, ExchangeReply, ExchangeRequest, Grant } from "./engine.ts";
import { ClusterClosedError, ClusterEngineError, ClusterTimeoutError } from "./errors.ts";
import type { HeldPermit } from "./permit.ts";

const NONE: readonly never[] = [];

/** So much later is a release sent, as its caller's next acquire mostly comes in that time. */
const RELEASE_MICROTASKS = 8;

const MIN_RETRY_DELAY = 50;
const MAX_RETRY_DELAY = 1_000;

/** Settings of a {@linkcode Session}, checked. */
export interface SessionOptions {
  readonly engine: Engine;
  readonly key: string;
  readonly permits: number;
  readonly leaseTime: number;
  readonly engineTimeout: number;
  readonly clock: ClusterClock;
}

/** An object that can give up one permit when a caller elsewhere waits. */
export interface Yielder {
  /** Gives up one, if it can; its release follows. */
  giveUp(): boolean;
}

interface Attempt {
  resolve(permit: HeldPermit | undefined): void;
  reject(reason: unknown): void;
}

interface InFlight {
  readonly request: ExchangeRequest;
  readonly attempts: readonly Attempt[];
  readonly sentAt: Mark;
}

/** The result of {@linkcode Session.counts}. */
export interface SessionCounts {
  readonly held: number;
  readonly waiting: number;
  readonly waitingElsewhere: number;
  readonly granted: number;
  readonly lost: number;
  readonly failures: number;
  readonly lastError: unknown;
  readonly isDown: boolean;
}

/**
 * One semaphore's share in the permits: which it holds, its callers that wait for more, and
 * what the engine is still to be told. One exchange is in flight at a time; what
 * is asked for meanwhile goes into the next.
 */
export class Session {
  readonly #options: SessionOptions;
  readonly #id: string = crypto.randomUUID();
  readonly #held: HeldPermits;
  readonly #waiters = new Waiters(() => this.#plan());
  readonly #attempts: Attempt[] = [];
  readonly #yielders = new Set<Yielder>();
  readonly #backoff: Backoff;
  readonly #watchBackoff: Backoff;
  #state: "open" | "closing" | "closed" = "open";
  /** Whether the engine may have something of this session. */
  #joined = false;
  /** Whether the outcome of an exchange is unknown, so that the next one must reconcile. */
  #unsure = false;
  #isPlanned = false;
  #inFlight: InFlight | undefined;
  /** Aborted when the exchange in flight is given up; the same for all until then, as few are. */
  #giveUp = new AbortController();
  #exchangeOptions = { signal: this.#giveUp.signal };
  /** When the next exchange is due even without a request, by `now`. */
  #nextAt = Infinity;
  /** When the engine began to fail. */
  #downSince: number | undefined;
  #lastError: unknown;
  /** Whether it may be asked to give up a permit; undefined if there is nothing that could. */
  #offer: boolean | undefined;
  /** Whether it is giving one up, and the release has not been heard of by the engine. */
  #isYielding = false;
  #watch: { readonly controller: AbortController; readonly ended: Promise<void> } | undefined;
  /** Not before then, by `now`, as the last one has failed. */
  #watchAt = -Infinity;
  #timer: Timer | undefined;
  #timerDue = Infinity;
  /** Whether the timer keeps the process alive; a new one does. */
  #isTimerHeld = true;
  /** Whether limits that are exceeded have been given one more turn of the event loop. */
  #hasLooked = false;
  #failures = 0;
  #waitingElsewhere = 0;
  #closed: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#held = new HeldPermits(options, {
      onRelease: () => this.#plan(RELEASE_MICROTASKS),
      onOver: () => this.#loseIfOver(),
    });
    const maxDelay = Math.max(MIN_RETRY_DELAY, Math.min(MAX_RETRY_DELAY, options.leaseTime / 6));
    this.#backoff = new Backoff({ minDelay: MIN_RETRY_DELAY, maxDelay });
    this.#watchBackoff = new Backoff({ minDelay: MIN_RETRY_DELAY, maxDelay });
  }

  get counts(): SessionCounts {
    return {
      held: this.#held.size,
      waiting: this.#waiters.count,
      waitingElsewhere: this.#waitingElsewhere,
      granted: this.#held.granted,
      lost: this.#held.lost,
      failures: this.#failures,
      lastError: this.#lastError,
      isDown: this.#downSince !== undefined,
    };
  }

  get isClosed(): boolean {
    return this.#state !== "open";
  }

  acquire(signal: AbortSignal | undefined, timeout: number): Promise<HeldPermit> {
    if (this.isClosed) return Promise.reject(this.#closedError());
    if (timeout === 0) return this.#acquireAtOnce(signal);
    return new Promise((resolve, reject) => {
      const deadline = timeout === Infinity ? Infinity : this.#options.clock.now() + timeout;
      this.#waiters.add({ signal, timeout, deadline }, resolve, reject);
      this.#plan();
      if (!this.#isPlanned) this.#setTimer();
    });
  }

  attempt(): Promise<HeldPermit | undefined> {
    if (this.isClosed) return Promise.reject(this.#closedError());
    if (this.#waiters.count > 0) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      this.#attempts.push({ resolve, reject });
      this.#plan();
      this.#holdProcess();
    });
  }

  /** For a caller that waits for no longer than the engine's answer takes. */
  async #acquireAtOnce(signal: AbortSignal | undefined): Promise<HeldPermit> {
    const attempt = this.attempt();
    const permit = await (signal === undefined ? attempt : unlessAborted(attempt, signal));
    if (permit !== undefined) return permit;
    throw new ClusterTimeoutError(this.#options.key, 0, this.summary, this.#lastErrorNow());
  }

  /** The engine's count, or an error if it fails, or takes longer than an exchange may. */
  async status(): Promise<ClusterStatus> {
    const { engine, key } = this.#options;
    let timer: Timer | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(this.#lateError()),
        Math.min(this.#exchangeLimit, LONGEST_DELAY),
      );
    });
    try {
      return await Promise.race([engine.status(key), late]);
    } catch (error) {
      throw new ClusterEngineError(key, engine.place, error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** From its next exchange on the session may be asked for a permit: something here can give one up. */
  offer(): void {
    this.#offer ??= true;
  }

  addYielder(yielder: Yielder): void {
    this.#yielders.add(yielder);
    this.#watchIfNeeded();
  }

  deleteYielder(yielder: Yielder): void {
    this.#yielders.delete(yielder);
  }

  get leaseTime(): number {
    return this.#held.leaseTime;
  }

  /** A yielder has something to give up again. */
  offerAgain(): void {
    if (this.#offer !== false || this.isClosed) return;
    this.#offer = true;
    this.#plan();
  }

  close(): Promise<void> {
    if (this.#closed !== undefined) return this.#closed.promise;
    let resolve = () => {};
    const promise = new Promise<void>((done) => resolve = done);
    this.#closed = { promise, resolve };
    this.#state = "closing";
    const error = this.#closedError();
    this.#waiters.rejectAll(() => error);
    for (const attempt of this.#attempts.splice(0)) attempt.reject(error);
    for (const attempt of this.#inFlight?.attempts ?? []) attempt.reject(error);
    this.#held.close(error);
    this.#watch?.controller.abort();
    if (this.#inFlight === undefined) this.#begin();
    return promise;
  }

  get summary(): string {
    return `held ${this.#held.size}, waiting ${this.#waiters.count}, permits ${this.#options.permits}`;
  }

  // What is sent ------------------------------------------------------------------------------

  /** Begins an exchange some microtasks later, with all that is asked for until then; when the engine fails, a timer does. */
  #plan(microtasks = 1): void {
    if (this.#isPlanned || this.#inFlight !== undefined || this.#downSince !== undefined) return;
    if (this.#state !== "open") return;
    this.#isPlanned = true;
    this.#beginAfter(microtasks);
  }

  #beginAfter(microtasks: number): void {
    queueMicrotask(() => {
      if (microtasks > 1) return this.#beginAfter(microtasks - 1);
      this.#isPlanned = false;
      if (this.#inFlight === undefined && this.#state === "open") this.#begin();
    });
  }

  #begin(): void {
    if (this.#isPlanned && this.#state === "open") return;
    if (!this.#hasStake && !this.#joined && !this.#held.hasReleases) return this.#rest();
    const attempts = this.#attempts.splice(0);
    const sentAt = mark(this.#options.clock);
    const request = this.#compose(attempts.length, sentAt);
    const inFlight = { request, attempts, sentAt };
    this.#inFlight = inFlight;
    this.#joined = true;
    this.#exchange(request).then(
      (reply) => this.#inFlight === inFlight && this.#onReply(inFlight, reply),
      (error) => this.#inFlight === inFlight && this.#onFailure(inFlight, error),
    );
    this.#setTimer();
  }

  #exchange(request: ExchangeRequest): Promise<ExchangeReply> {
    try {
      return this.#options.engine.exchange(this.#options.key, request, this.#exchangeOptions);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #compose(attempt: number, now: Mark): ExchangeRequest {
    const reconciles = this.#unsure || this.#isRenewalDue(now);
    const known = reconciles ? this.#waiters.ids : undefined;
    // A cancel is not to be counted twice: after a doubt the engine's count tells what is left to cancel.
    const cancel = reconciles ? NONE : this.#waiters.cancels;
    const hasNothing = this.#held.size === 0 && this.#waiters.count === 0;
    return {
      session: this.#id,
      permits: this.#options.permits,
      ttl: this.#held.ttl,
      release: this.#held.releases,
      cancel,
      acquire: this.#waiters.send(),
      attempt,
      offer: this.#offer && !hasNothing,
      reconcile: known,
      leave: hasNothing && (this.isClosed || this.#held.isSilentFor(this.#held.renewEvery, now)),
    };
  }

  #isRenewalDue(now: Mark): boolean {
    return this.#joined && this.#hasStake && this.#held.isSilentFor(this.#held.renewEvery, now);
  }

  get #hasStake(): boolean {
    return this.#held.size > 0 || !this.#waiters.isEmpty || this.#attempts.length > 0;
  }

  /** Whether the engine is to be told something now. */
  get #hasNews(): boolean {
    return this.#held.hasReleases || this.#attempts.length > 0 || this.#waiters.hasNews;
  }

  // What comes back ---------------------------------------------------------------------------

  #onReply({ request, attempts, sentAt }: InFlight, reply: ExchangeReply): void {
    this.#inFlight = undefined;
    const now = mark(this.#options.clock);
    this.#loseIfOver(now);
    if (this.#downSince !== undefined) {
      this.#downSince = undefined;
      this.#backoff.reset();
    }
    this.#held.renewed(sentAt);
    this.#unsure = false;
    if (request.release.length > 0) this.#isYielding = false;
    this.#held.onReleased(request.release);
    this.#waiters.onCancelled(request.cancel);
    const open = attempts.length === 0 ? [] : [...attempts];
    for (const grant of reply.granted) this.#accept(grant, open, now);
    if (reply.held !== undefined) {
      this.#held.reconcile(reply.held);
      for (const grant of reply.held) this.#accept(grant, open, now);
      this.#waiters.reconcile(reply, request);
    }
    for (const attempt of open) attempt.resolve(undefined);
    this.#waitingElsewhere = Math.max(0, reply.waiting - this.#waiters.owed);
    if (request.leave && this.#held.size === 0 && !this.#waiters.isQueued) this.#joined = false;
    if (reply.asked && !this.#isYielding) this.#yieldOne();
    this.#planNext(reply, now.now);
  }

  #accept({ token, entry }: Grant, attempts: Attempt[], now: Mark): void {
    if (this.#held.knows(token)) return;
    const waiter = this.#waiters.pay(entry);
    const attempt = entry === 0 ? attempts.shift() : undefined;
    const isWanted = waiter !== undefined || attempt !== undefined;
    if (!isWanted || this.isClosed || !this.#held.isValid(now)) {
      this.#held.decline(token);
      if (attempt !== undefined) attempt.resolve(undefined);
      if (waiter !== undefined) this.#waiters.putBack(waiter);
      return;
    }
    const permit = this.#held.add(token);
    if (waiter !== undefined) this.#waiters.resolve(waiter, permit);
    else attempt!.resolve(permit);
  }

  #onFailure({ attempts }: InFlight, error: unknown): void {
    this.#inFlight = undefined;
    this.#failures++;
    this.#lastError = error;
    this.#unsure = true;
    const now = this.#options.clock.now();
    this.#downSince ??= now;
    for (const attempt of attempts) attempt.reject(this.#engineError());
    for (const attempt of this.#attempts.splice(0)) attempt.reject(this.#engineError());
    if (now - this.#downSince >= this.#options.engineTimeout) {
      this.#waiters.rejectAll(() => this.#engineError());
    }
    // The engine takes away permits that are no longer renewed.
    if (this.#state === "closing") return this.#rest();
    this.#nextAt = now + this.#backoff.next();
    const isForgotten = this.#held.isSilentFor(this.leaseTime, mark(this.#options.clock));
    if (!this.#hasStake && isForgotten) {
      this.#held.forgetReleases();
      this.#joined = false;
      this.#downSince = undefined;
      this.#nextAt = Infinity;
    }
    this.#setTimer();
  }

  #planNext(reply: ExchangeReply, now: number): void {
    if (this.#state === "closing") {
      if (this.#joined || this.#hasNews) this.#begin();
      else this.#rest();
      return;
    }
    this.#nextAt = this.#joined ? Math.max(now, this.#held.renewAt) : Infinity;
    if (this.#waiters.isQueued) this.#nextAt = Math.min(this.#nextAt, now + reply.nextExpiry + 1);
    if (this.#hasNews) this.#plan();
    this.#watchIfNeeded();
    this.#setTimer();
  }

  /** Nothing is left to do: ends a close that is under way. */
  #rest(): void {
    this.#nextAt = Infinity;
    if (this.#state !== "closing") return this.#setTimer();
    this.#state = "closed";
    this.#clearTimer();
    const watch = this.#watch?.ended ?? Promise.resolve();
    watch.then(() => this.#closed!.resolve());
  }

  // What is woken -----------------------------------------------------------------------------

  #watchIfNeeded(): void {
    if (this.#watch !== undefined || this.#state !== "open") return;
    const mayBeAsked = this.#yielders.size > 0 && this.#held.size > 0;
    if (!this.#waiters.isQueued && !mayBeAsked) return;
    if (this.#options.clock.now() < this.#watchAt) return;
    const controller = new AbortController();
    this.#watch = { controller, ended: this.#awaitWake(controller.signal) };
  }

  async #awaitWake(signal: AbortSignal): Promise<void> {
    const { engine, key } = this.#options;
    try {
      await engine.wake(key, this.#id, { signal });
      this.#watch = undefined;
      this.#watchBackoff.reset();
      if (this.#state !== "open") return;
      if (this.#waiters.isQueued || this.#yielders.size > 0) this.#plan();
    } catch (error) {
      this.#watch = undefined;
      this.#failures++;
      this.#lastError = error;
      // Grants come with the next exchange all the same, only later.
      this.#watchAt = this.#options.clock.now() + this.#watchBackoff.next();
      this.#nextAt = Math.min(this.#nextAt, this.#watchAt);
      this.#setTimer();
    }
  }

  #yieldOne(): void {
    for (const yielder of [...this.#yielders]) {
      this.#yielders.delete(yielder);
      this.#yielders.add(yielder); // the others come first next time
      if (!yielder.giveUp()) continue;
      this.#isYielding = true;
      return;
    }
    this.#offer = false;
    this.#plan();
  }

  // Time --------------------------------------------------------------------------------------

  /** How long one exchange may take, before it is taken for failed. */
  get #exchangeLimit(): number {
    const { renewEvery } = this.#held;
    const limit = Math.min(this.#options.engineTimeout, renewEvery);
    return limit > 0 ? limit : renewEvery;
  }

  #setTimer(): void {
    if (this.#state === "closed") return;
    let due = Math.min(this.#waiters.earliestDeadline, this.#held.overAt);
    const inFlight = this.#inFlight;
    if (inFlight !== undefined) due = Math.min(due, inFlight.sentAt.now + this.#exchangeLimit);
    else due = Math.min(due, this.#nextAt);
    // An earlier timer is left standing: it looks, and is set again.
    if (due >= this.#timerDue) return this.#holdProcess();
    this.#clearTimer();
    if (due === Infinity) return;
    this.#timerDue = due;
    const delay = Math.ceil(due - this.#options.clock.now());
    this.#startTimer(Math.min(Math.max(delay, 0), LONGEST_DELAY));
    this.#holdProcess();
  }

  #startTimer(delay: number): void {
    this.#timer = setTimeout(() => this.#onTimer(), delay);
    this.#isTimerHeld = true;
  }

  /**
   * A caller that waits keeps the process alive, and an exchange in flight does so by
   * itself; a permit that is only held does not.
   */
  #holdProcess(): void {
    const isAwaited = this.#state === "closing" ||
      this.#inFlight === undefined && (this.#waiters.count > 0 || this.#attempts.length > 0);
    if (isAwaited === this.#isTimerHeld) return;
    this.#isTimerHeld = isAwaited;
    const timer = this.#timer as unknown as { ref?(): void; unref?(): void } | undefined;
    if (isAwaited) timer?.ref?.();
    else timer?.unref?.();
  }

  #clearTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerDue = Infinity;
  }

  #onTimer(): void {
    this.#timer = undefined;
    const { key, clock } = this.#options;
    const now = Math.max(clock.now(), this.#timerDue);
    this.#timerDue = Infinity;
    this.#loseIfOver();
    if (this.#state === "closed") return;
    const inFlight = this.#inFlight;
    const isLate = inFlight !== undefined && now >= inFlight.sentAt.now + this.#exchangeLimit;
    if ((isLate || now >= this.#waiters.earliestDeadline) && !this.#hasLooked) {
      // The event loop may have been blocked, so pending replies are handled first.
      this.#hasLooked = true;
      this.#timerDue = now;
      this.#startTimer(0);
      return;
    }
    this.#hasLooked = false;
    if (isLate) this.#giveUpOn(inFlight);
    this.#waiters.expire(now, (timeout) => {
      return new ClusterTimeoutError(key, timeout, this.summary, this.#lastErrorNow());
    });
    if (this.#inFlight === undefined && now >= this.#nextAt) {
      this.#nextAt = Infinity;
      if (this.#hasStake || this.#joined) this.#begin();
    }
    this.#setTimer();
  }

  #giveUpOn(inFlight: InFlight): void {
    const error = this.#lateError();
    const controller = this.#giveUp;
    this.#giveUp = new AbortController();
    this.#exchangeOptions = { signal: this.#giveUp.signal };
    controller.abort(error);
    this.#onFailure(inFlight, error);
  }

  #loseIfOver(now: Mark = mark(this.#options.clock)): void {
    if (this.#held.loseIfOver(now, this.#lastErrorNow())) this.#plan();
  }

  // Errors ------------------------------------------------------------------------------------

  #lastErrorNow(): unknown {
    return this.#downSince === undefined ? undefined : this.#lastError;
  }

  #lateError(): DOMException {
    return new DOMException(
      `The engine has not answered within ${Math.round(this.#exchangeLimit)} ms`,
      "TimeoutError",
    );
  }

  #engineError(): ClusterEngineError {
    const { engine, key } = this.#options;
    return new ClusterEngineError(key, engine.place, this.#lastError);
  }

  #closedError(): ClusterClosedError {
    return new ClusterClosedError(this.#options.key);
  }
}

/** The attempt's outcome, or a rejection at an abort: what is granted after that is given back. */
function unlessAborted(
  attempt: Promise<HeldPermit | undefined>,
  signal: AbortSignal,
): Promise<HeldPermit | undefined> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    attempt.then((permit) => {
      signal.removeEventListener("abort", onAbort);
      if (signal.aborted) permit?.release();
      resolve(permit);
    }, reject);
  });
}
