import { Backoff } from "../internal/backoff.ts";
import { SharedTimer } from "../internal/shared_timer.ts";
import type { RetryOptions } from "./options.ts";

type Delays = { readonly [Name in keyof RetryOptions]-?: number };

/**
 * - `open`: the server answers, as far as is known: any number of dials may begin
 * - `waiting`: a dial has failed: no dial begins before the delay is over
 * - `due`: the delay is over: the next dial is the probe
 * - `probing`: the probe is in flight, alone
 * - `closed`: the pool is
 */
type ScheduleState = "open" | "waiting" | "due" | "probing" | "closed";

/**
 * When a pool may dial after a failure: one schedule of exponential delays for
 * all its callers, so that a server that is down sees one probe at a time, and
 * the first success ends the wait of all.
 */
export class RetrySchedule {
  readonly #backoff: Backoff;
  readonly #clock: () => number;
  readonly #onDue: () => void;
  #timer: SharedTimer | undefined;
  #isRef = false;
  #state: ScheduleState = "open";
  #probe = 0;

  constructor(options: Delays, clock: () => number, onDue: () => void) {
    this.#backoff = new Backoff(options);
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Whether the server answers, as far as is known. */
  isOpen = true;

  /** Whether a dial may begin now. */
  get ready(): boolean {
    return this.#state === "open" || this.#state === "due";
  }

  /** A dial begins. Returns the number of the probe that it is, or 0. */
  started(): number {
    if (this.#state !== "due") return 0;
    this.#state = "probing";
    return ++this.#probe;
  }

  succeeded(): void {
    if (this.#state === "closed") return;
    this.#state = "open";
    this.isOpen = true;
    this.#backoff.reset();
    this.#timer?.clear();
  }

  /**
   * A dial has failed; `probe` is its number, or 0. Returns whether it is the probe that all
   * callers wait for.
   */
  failed(probe: number): boolean {
    const isAwaited = this.#state === "probing" && probe === this.#probe;
    if (isAwaited || this.#state === "open") this.postpone();
    return isAwaited;
  }

  /** A probe was given up without a result: the next dial is the probe. */
  withdrawn(probe: number): void {
    if (this.#state === "probing" && probe === this.#probe) this.#state = "due";
  }

  /** Allows no dial for a while, longer each time until a success. */
  postpone(): void {
    if (this.#state === "closed") return;
    this.#state = "waiting";
    this.isOpen = false;
    this.#timer ??= new SharedTimer(this.#clock, () => this.#fire(), this.#isRef);
    this.#timer.fireBy(this.#clock() + this.#backoff.next());
  }

  /** Allows a dial now, if one may only begin later; further delays grow from the least again. */
  restart(): void {
    this.#backoff.reset();
    if (this.#state !== "waiting") return;
    this.#timer!.clear();
    this.#state = "due";
  }

  /** Whether the wait keeps the process alive, which it does while a caller waits for its end. */
  setRef(isRef: boolean): void {
    this.#isRef = isRef;
    this.#timer?.setRef(isRef);
  }

  close(): void {
    this.#state = "closed";
    this.isOpen = false;
    this.#timer?.clear();
  }

  #fire(): void {
    this.#state = "due";
    this.#onDue();
  }
}

/**
 * A final failure, such as a wrong password. Until a delay is over, callers get that error
 * without a dial. Then one dial probes whether it still holds. The delay doubles with each
 * failure.
 */
export class FinalFailure {
  readonly #options: Delays;
  readonly #clock: () => number;
  readonly #onDue: () => void;
  #timer: SharedTimer | undefined;
  /** The last failure, unless a dial has had another outcome since. */
  failure: { readonly error: unknown } | undefined;
  #delay = 0;
  #until = 0;
  #state: "paced" | "probing" = "paced";

  constructor(options: Delays, clock: () => number, onDue: () => void) {
    this.#options = options;
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Whether the last dial failed finally. */
  get isSet(): boolean {
    return this.failure !== undefined;
  }

  /** Whether callers get the failure, until a dial may probe again. */
  get isPaced(): boolean {
    return this.isSet && this.#clock() < this.#until;
  }

  /** Whether the probe is in flight. */
  get isProbing(): boolean {
    return this.isSet && this.#state === "probing";
  }

  /** When it may be forgotten: callers that come again later than that are few. */
  get end(): number {
    return this.isSet ? this.#until + this.#options.maxDelay : 0;
  }

  /** A dial begins. */
  started(): void {
    this.#state = "probing";
  }

  failed(error: unknown): void {
    const { minDelay, maxDelay } = this.#options;
    // Dials that were begun together and fail together count as one.
    const isFollowing = this.isSet && this.#state === "probing";
    if (!this.isSet) this.#delay = minDelay;
    else if (isFollowing) this.#delay = Math.min(2 * this.#delay, maxDelay);
    this.failure = { error };
    this.#state = "paced";
    this.#until = this.#clock() + this.#delay;
  }

  /** The dial was given up without a result. */
  withdrawn(): void {
    this.#state = "paced";
  }

  clear(): void {
    this.failure = undefined;
  }

  /** Has `onDue` called when a dial may probe again, if none may now. Callers come by themselves. */
  wake(): void {
    if (!this.isPaced) return;
    this.#timer ??= new SharedTimer(this.#clock, this.#onDue, false);
    this.#timer.fireBy(this.#until);
  }

  close(): void {
    this.#timer?.clear();
  }
}
