import type { ConnectContext } from "../pool/connector.ts";
import { Attempt, type AttemptEvents } from "./_attempt.ts";
import { choose, type Preference } from "./_choice.ts";
import type { Endpoint } from "./_endpoint.ts";
import { type Failure, unreachable } from "./_unreachable.ts";

/** What a dial goes by, and leaves behind for the next. */
export interface DialContext {
  readonly endpoints: readonly Endpoint[];
  readonly prefer: Preference;
  readonly attemptDelay: number;
  readonly clock: () => number;
  /** Attempts that go on although nobody waits for them any more. */
  readonly strays: Set<Attempt>;
  /** How many attempts there have been. */
  turn: number;
}

/** What a dial has brought. */
export interface Opened {
  readonly endpoint: Endpoint;
  readonly resource: unknown;
}

/**
 * - `dialling`: there are attempts in flight
 * - `waiting`: what happens next depends on another dial's probe; there may be attempts in flight
 * - `aborted`: those in flight have been told to stop
 * - `settled`: the outcome is known; strays may still be in flight
 */
type DialState = "dialling" | "waiting" | "aborted" | "settled";

/**
 * One call of `connect`: endpoint after endpoint, until one answers or none is
 * left. The next is dialled when one fails, or beside it when one takes long, as
 * in RFC 8305 ("Happy Eyeballs"); so a slow one does not use up all the time.
 */
export class Dial implements AttemptEvents {
  readonly #context: DialContext;
  readonly #call: ConnectContext;
  readonly #untried: Set<Endpoint>;
  readonly #attempts = new Set<Attempt>();
  readonly #failures: Failure[] = [];
  readonly #onAbort = () => this.#abort();
  #latest: Attempt | undefined;
  #state: DialState = "dialling";
  #resolve!: (opened: Opened) => void;
  #reject!: (error: unknown) => void;

  constructor(context: DialContext, call: ConnectContext) {
    this.#context = context;
    this.#call = call;
    this.#untried = new Set(context.endpoints);
  }

  run(): Promise<Opened> {
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
    this.#context.strays.delete(attempt);
    if (this.#state === "settled") return;
    this.#failures.push({ endpoint: attempt.endpoint, error });
    if (attempt === this.#latest) this.#next();
    this.#failIfOver();
  }

  #next(): void {
    if (this.#state !== "dialling") return;
    const endpoint = choose([...this.#untried], this.#context.prefer, this.#context.clock());
    if (endpoint?.health.isHopeful) this.#awaitProbe(endpoint);
    else if (endpoint !== undefined) this.#begin(endpoint);
  }

  /** Waits with others for what the probe of an endpoint will tell: they are many, and it is to be one. */
  #awaitProbe({ health, load }: Endpoint): void {
    this.#state = "waiting";
    load.waiting++;
    health.awaitNews(() => {
      load.waiting--;
      if (this.#state !== "waiting") return;
      this.#state = "dialling";
      this.#next();
    });
  }

  #begin(endpoint: Endpoint): void {
    const { attemptDelay, clock } = this.#context;
    this.#untried.delete(endpoint);
    const attempt = new Attempt(endpoint, ++this.#context.turn, clock, this);
    this.#latest = attempt;
    this.#attempts.add(attempt);
    attempt.run(attemptDelay, this.#call);
  }

  #abort(): void {
    this.#state = "aborted";
    for (const attempt of this.#attempts) attempt.abort(this.#call.signal.reason);
    this.#failIfOver();
  }

  #failIfOver(): void {
    if (this.#state === "waiting" || this.#attempts.size > 0) return;
    const error = this.#state === "aborted"
      ? this.#call.signal.reason
      : unreachable(this.#failures);
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.#state = "settled";
    this.#call.signal.removeEventListener("abort", this.#onAbort);
  }

  #dismiss(attempt: Attempt): void {
    attempt.dismiss();
    if (attempt.isInBackground) this.#context.strays.add(attempt);
  }
}
