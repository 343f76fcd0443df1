import { Backoff, type BackoffOptions } from "../../internal/backoff.ts";
import { oneLine } from "../../internal/text.ts";
import type { Connector } from "../../pool/connector.ts";
import type { Lease } from "../../pool/lease.ts";

/** A connector of any kind. */
export type AnyConnector = Connector<unknown, Lease<unknown>>;

/**
 * - `closed`: the last dial succeeded, or there has been none: dials pass
 * - `open`: the last dial failed; when the delay is over, the next dial is the probe
 * - `half-open`: the probe is in flight, alone
 */
type BreakerState = "closed" | "open" | "half-open";

/**
 * Decides whether an endpoint may be dialled: a circuit breaker. It goes by the
 * clock alone, without a timer, because no connector is told that it is no
 * longer needed.
 */
export class EndpointBreaker {
  readonly #backoff: Backoff;
  #state: BreakerState = "closed";
  #isProbeLate = false;
  #dueAt = 0;
  #probe = 0;
  readonly #listeners = new Set<() => void>();
  /** Why it is not closed. */
  error: unknown = undefined;

  constructor(delays: BackoffOptions) {
    this.#backoff = new Backoff(delays);
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  /** Whether a probe is in flight that will soon show if the endpoint is up. */
  get isProbeAwaited(): boolean {
    return this.#state === "half-open" && !this.#isProbeLate;
  }

  /** Whether this dial is the probe. */
  isProbedBy(probe: number): boolean {
    return this.#state === "half-open" && probe === this.#probe;
  }

  /** Whether a dial may begin. */
  allows(now: number): boolean {
    return this.#state === "closed" || this.#state === "open" && now >= this.#dueAt;
  }

  /** A dial begins. Returns the number of the probe that it is, or 0. */
  began(now: number): number {
    if (this.#state !== "open" || now < this.#dueAt) return 0;
    this.#turn("half-open");
    return ++this.#probe;
  }

  /** Calls back at each change of the state. Returns a function that ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  succeeded(): void {
    this.error = undefined;
    this.#backoff.reset();
    this.#turn("closed");
  }

  /** A dial failed; `probe` is its number, or 0. Of dials that fail together only the first counts. */
  failed(probe: number, error: unknown, now: number): void {
    if (this.#state !== "closed" && !this.isProbedBy(probe)) return;
    this.error = error;
    this.#dueAt = now + this.#backoff.next();
    this.#turn("open");
  }

  /**
   * A dial was aborted before its outcome was known. If it was the probe, the next dial
   * becomes the probe; after a delay if it was late, so that not every dial waits for one.
   */
  abandoned(probe: number, now: number): void {
    if (!this.isProbedBy(probe)) return;
    if (this.#isProbeLate) this.#dueAt = now + this.#backoff.next();
    this.#turn("open");
  }

  /** A dial is slow: if it is the probe, other dials no longer wait for it. */
  late(probe: number): void {
    if (this.isProbedBy(probe)) this.#turn("half-open", true);
  }

  #turn(state: BreakerState, isProbeLate = false): void {
    if (state === this.#state && isProbeLate === this.#isProbeLate) return;
    this.#state = state;
    this.#isProbeLate = isProbeLate;
    for (const listener of [...this.#listeners]) if (this.#listeners.has(listener)) listener();
  }
}

// A resource that lasts for longer than this, in milliseconds, was not lost early.
const EARLY_LOSS_MS = 1_000;

/** The load of an endpoint: open resources, dials in flight, and dials about to begin. */
export class EndpointLoad {
  open = 0;
  connecting = 0;
  waiting = 0;
  /** Until when each early loss counts; in order. */
  readonly #losses: number[] = [];

  /**
   * The measure of the load. A resource lost soon after its opening counts for a while
   * longer: otherwise an endpoint that hangs up on every client would always have the
   * least load, and get all dials.
   */
  at(now: number): number {
    const losses = this.#losses;
    while (losses.length > 0 && losses[0]! <= now) losses.shift();
    return this.open + this.connecting + this.waiting + losses.length;
  }

  /** A resource opened at `openedAt` was lost now. */
  lost(openedAt: number, now: number): void {
    if (now - openedAt < EARLY_LOSS_MS) this.#losses.push(now + EARLY_LOSS_MS);
  }

  /** The breaker is open: that is reason enough not to dial. */
  forgetLosses(): void {
    this.#losses.length = 0;
  }
}

/** One of the connectors of a group, and its state. */
export class Endpoint {
  readonly connector: AnyConnector;
  readonly name: string;
  readonly breaker: EndpointBreaker;
  readonly load = new EndpointLoad();
  /** The members that a dial calls, as they were when the group was created. */
  readonly hasAdmit: boolean;
  readonly hasInit: boolean;
  /** The number of the selection in which it was last dialled. */
  lastTurn = 0;

  constructor(connector: AnyConnector, index: number, delays: BackoffOptions) {
    const place = ask<unknown>(() => connector.place, { onThrow: undefined, onPromise: undefined });
    this.connector = connector;
    this.name = typeof place === "string" && place !== "" ? oneLine(place) : `connectors[${index}]`;
    this.breaker = new EndpointBreaker(delays);
    this.hasAdmit = connector.admit !== undefined;
    this.hasInit = connector.init !== undefined;
  }

  /** Whether a dial with this error may be retried at this endpoint. */
  isRetryable(error: unknown): boolean {
    const { connector } = this;
    return ask(() => connector.isRetryable?.(error) ?? true, { onThrow: false, onPromise: false });
  }

  /** Whether a resource can't be used any more, as far as the connector knows. */
  isBroken(resource: unknown): boolean {
    const { connector } = this;
    return ask(() => connector.isBroken?.(resource) ?? false, { onThrow: true, onPromise: false });
  }

  /** The number of lingering connections; 0 if the count is invalid. */
  get lingering(): number {
    const count = ask(() => this.connector.lingering?.(), { onThrow: 0, onPromise: 0 });
    return typeof count === "number" && count > 0 ? count : 0;
  }
}

/**
 * Calls a synchronous member of a connector, which may throw, or be asynchronous: then
 * its rejection is handled.
 */
export function ask<A>(call: () => A, otherwise: { onThrow: A; onPromise: A }): A {
  try {
    const answer = call();
    if (!isPromiseLike(answer)) return answer;
    Promise.resolve(answer).catch(() => {});
    return otherwise.onPromise;
  } catch {
    return otherwise.onThrow;
  }
}

function isPromiseLike(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === "function";
}

/** Selects one of the eligible endpoints, of which there is at least one. */
export type Selection = (eligible: readonly Endpoint[], now: number) => Endpoint;

/** The first. */
export const inOrder: Selection = ([first]) => first!;

/** The one with the least load; of equals the one dialled longest ago. */
export const leastLoaded: Selection = (eligible, now) =>
  eligible.reduce((best, each) => {
    const more = each.load.at(now) - best.load.at(now);
    return more < 0 || more === 0 && each.lastTurn < best.lastTurn ? each : best;
  });

/**
 * Selects the endpoint to dial, or whose probe to await. If none is eligible, the one
 * dialled longest ago is selected.
 */
export function select(
  endpoints: readonly Endpoint[],
  selection: Selection,
  now: number,
): Endpoint | undefined {
  const eligible = endpoints.filter(({ breaker }) => breaker.allows(now) || breaker.isProbeAwaited);
  if (eligible.length > 0) return selection(eligible, now);
  return endpoints.toSorted((a, b) => a.lastTurn - b.lastTurn)[0];
}
