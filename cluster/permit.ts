/**
 * A permit of a {@linkcode ClusterSemaphore}.
 *
 * @module
 */

import type { Permit } from "../pool/semaphore.ts";

/**
 * One of the permits that all processes share, held until it is released or
 * lost. It is renewed in the background for as long as the process can reach
 * the engine.
 */
export interface ClusterPermit extends Permit {
  /**
   * Greater than the token of every grant before under the same key: the fence.
   * Have what the permit protects refuse a token smaller than one it has seen.
   */
  readonly token: number;

  /**
   * Whether the permit is still this process's. It turns false for good when it
   * is released, or when its last renewal was begun so long ago that a fifth of
   * `leaseTime` is left: the engine gives it to no other caller before that. Decided
   * by the clock when it is asked for, so that a process which was stopped, or a
   * machine which slept, reads `false` at once.
   */
  readonly valid: boolean;

  /**
   * Aborted when the permit is lost, in the first turn of the event loop after
   * `valid` has turned false; its reason is a `ClusterPermitLostError`, or a
   * `ClusterClosedError` if the semaphore was closed. A release does not abort it.
   */
  readonly lost: AbortSignal;
}

/** What a permit asks of its session. */
export interface PermitHolder {
  /** Whether permits that have not been lost so far are still valid by the clock. */
  isInTime(): boolean;
  giveBack(permit: HeldPermit): void;
}

/** A permit, as the session holds it. */
export class HeldPermit implements ClusterPermit {
  readonly token: number;
  readonly #holder: PermitHolder;
  #state: "held" | "released" | "lost" = "held";
  #reason: unknown;
  #controller: AbortController | undefined;

  constructor(token: number, holder: PermitHolder) {
    this.token = token;
    this.#holder = holder;
  }

  get valid(): boolean {
    return this.#state === "held" && this.#holder.isInTime();
  }

  get lost(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#state === "lost") this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  release(): void {
    if (this.#state !== "held") return;
    this.#state = "released";
    this.#holder.giveBack(this);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  toString(): string {
    const state = this.#state === "held" ? (this.valid ? "valid" : "lost") : this.#state;
    return `ClusterPermit(token ${this.token}, ${state})`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  /** The session has lost it. */
  lose(reason: unknown): void {
    if (this.#state !== "held") return;
    this.#state = "lost";
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}
