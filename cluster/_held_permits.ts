import { type ClusterClock, elapsedBetween, type Mark, mark } from "./_clock.ts";
import type { Grant } from "./engine.ts";
import { ClusterPermitLostError } from "./errors.ts";
import { HeldPermit, type PermitHolder } from "./permit.ts";

/** Shares of `leaseTime`: when it is renewed, until when a permit is valid, when the engine takes it away. */
const RENEW_SHARE = 1 / 3;
const VALID_SHARE = 0.8;
const TTL_SHARE = 0.85;

const NONE: readonly never[] = [];

/** What becomes of permits without the session having done it. */
export interface PermitEvents {
  /** One was released. */
  onRelease(): void;
  /** `valid` was asked for, and the permits are over. */
  onOver(): void;
}

/**
 * The permits that a session holds, all under one lease: they are valid from
 * when the last successful exchange was begun. And those that are to be given
 * back to the engine.
 */
export class HeldPermits implements PermitHolder {
  readonly #key: string;
  readonly #clock: ClusterClock;
  readonly #events: PermitEvents;
  readonly #held = new Map<number, HeldPermit>();
  readonly #releases = new Set<number>();
  #renewedAt: Mark = { now: -Infinity, wall: -Infinity };
  readonly leaseTime: number;
  /** How long the engine lets the lease live without an exchange. */
  readonly ttl: number;
  readonly renewEvery: number;
  readonly #validFor: number;
  granted = 0;
  lost = 0;

  constructor(
    { key, leaseTime, clock }: {
      readonly key: string;
      readonly leaseTime: number;
      readonly clock: ClusterClock;
    },
    events: PermitEvents,
  ) {
    this.#key = key;
    this.#clock = clock;
    this.#events = events;
    this.leaseTime = leaseTime;
    this.ttl = Math.round(leaseTime * TTL_SHARE);
    this.renewEvery = leaseTime * RENEW_SHARE;
    this.#validFor = leaseTime * VALID_SHARE;
  }

  get size(): number {
    return this.#held.size;
  }

  /** What is to be given back. */
  get releases(): readonly number[] {
    return this.#releases.size === 0 ? NONE : [...this.#releases];
  }

  get hasReleases(): boolean {
    return this.#releases.size > 0;
  }

  // The lease ---------------------------------------------------------------------------------

  renewed(at: Mark): void {
    this.#renewedAt = at;
  }

  /** When the next renewal is due, by `now`. */
  get renewAt(): number {
    return this.#renewedAt.now + this.renewEvery;
  }

  /** When what is held is over, by `now`, if it is not renewed. */
  get overAt(): number {
    return this.#held.size === 0 ? Infinity : this.#renewedAt.now + this.#validFor;
  }

  /** Whether no exchange that was begun within the duration has succeeded. */
  isSilentFor(duration: number, now: Mark): boolean {
    return elapsedBetween(this.#renewedAt, now) >= duration;
  }

  isInTime(): boolean {
    if (this.isValid(mark(this.#clock))) return true;
    // A getter must not run the listeners of `lost`.
    if (this.#held.size > 0) queueMicrotask(() => this.#events.onOver());
    return false;
  }

  /** Whether what is held is valid, by its last renewal. */
  isValid(now: Mark): boolean {
    return !this.isSilentFor(this.#validFor, now);
  }

  // What comes and goes -----------------------------------------------------------------------

  /** Whether the engine's grant of it is known here already. */
  knows(token: number): boolean {
    return this.#held.has(token) || this.#releases.has(token);
  }

  add(token: number): HeldPermit {
    const permit = new HeldPermit(token, this);
    this.#held.set(token, permit);
    this.granted++;
    return permit;
  }

  /** Nobody wants it: it is to be given back. */
  decline(token: number): void {
    this.#releases.add(token);
  }

  giveBack(permit: HeldPermit): void {
    this.#held.delete(permit.token);
    this.#releases.add(permit.token);
    this.#events.onRelease();
  }

  /** The engine has them back. */
  onReleased(tokens: readonly number[]): void {
    for (const token of tokens) this.#releases.delete(token);
  }

  /** The engine has nothing of the session any more. */
  forgetReleases(): void {
    this.#releases.clear();
  }

  // What is lost ------------------------------------------------------------------------------

  /** Loses all if the lease is over; answers whether it did. */
  loseIfOver(now: Mark, cause: unknown): boolean {
    if (this.#held.size === 0 || this.isValid(now)) return false;
    for (const permit of [...this.#held.values()]) {
      this.#lose(permit, "it could not be renewed in time", cause);
    }
    return true;
  }

  /** Loses what the engine does not have any more. */
  reconcile(held: readonly Grant[]): void {
    const tokens = new Set(held.map(({ token }) => token));
    const gone = [...this.#held.values()].filter(({ token }) => !tokens.has(token));
    for (const permit of gone) this.#lose(permit, "the engine no longer has it");
  }

  /** The semaphore is closed: what is held is lost for that reason, and not counted as lost. */
  close(reason: unknown): void {
    for (const permit of [...this.#held.values()]) {
      this.#remove(permit);
      permit.lose(reason);
    }
  }

  #lose(permit: HeldPermit, why: string, cause?: unknown): void {
    const reason = new ClusterPermitLostError(this.#key, permit.token, why, cause);
    if (this.#remove(permit)) this.lost++;
    permit.lose(reason);
  }

  /** Answers false if a listener of another one's loss has released it. */
  #remove(permit: HeldPermit): boolean {
    if (!this.#held.delete(permit.token)) return false;
    this.#releases.add(permit.token);
    return true;
  }
}
