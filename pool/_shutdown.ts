import { type DeadlineQueue, Limit } from "../internal/deadline_queue.ts";
import type { CloseOptions } from "./options.ts";

const DEFAULT_TIMEOUT_MS = 10_000;

// How long forced closes may take before they are given up.
const GRACE_MS = 100;

/** The pool to close. */
export interface Closable {
  drain(onDrained: () => void): void;
  shutDown(onEmpty: () => void): void;
  force(): void;
  abandonCloses(): void;
}

/**
 * - `open`: nothing is closed yet
 * - `draining`: waiters are served
 * - `gentle`: borrowers may finish
 * - `forced`: leased resources are closed
 * - `done`
 */
type ShutdownState = "open" | "draining" | "gentle" | "forced" | "done";

/** The closing of a pool: gentle until the earliest deadline given, then by force. */
export class Shutdown {
  /** Fulfilled when nothing is left; never rejected. */
  readonly done: Promise<void>;
  readonly #target: Closable;
  readonly #clock: () => number;
  readonly #limits: DeadlineQueue;
  #limit: Limit | undefined;
  /** Ends the listening to a signal that forces the close. */
  #end: AbortController | undefined;
  #state: ShutdownState = "open";
  #resolve!: (done: Promise<void>) => void;

  constructor(target: Closable, clock: () => number, limits: DeadlineQueue) {
    this.#target = target;
    this.#clock = clock;
    this.#limits = limits;
    this.done = new Promise((resolve) => this.#resolve = resolve);
  }

  /** Begins to close, or shortens a close in progress. */
  close(options: CloseOptions): void {
    const { timeout = DEFAULT_TIMEOUT_MS, force = false, signal, waiters = "reject" } = options;
    if (waiters === "serve" && this.#state === "open" && !force) this.#drain();
    else if (waiters === "reject" || force) this.#shutDown();
    if (force || signal?.aborted) return this.#force();
    if (this.#state !== "draining" && this.#state !== "gentle") return;
    if (signal !== undefined) {
      this.#end ??= new AbortController();
      signal.addEventListener("abort", () => this.#force(), { signal: this.#end.signal });
    }
    this.#expireIn(timeout);
  }

  #drain(): void {
    this.#state = "draining";
    this.#target.drain(() => this.#shutDown());
  }

  #shutDown(): void {
    if (this.#state !== "open" && this.#state !== "draining") return;
    this.#state = "gentle";
    this.#target.shutDown(() => {
      this.#state = "done";
      this.#lift();
      this.#end?.abort();
      this.#resolve(Promise.resolve()); // rejected callers are told before
    });
  }

  /** Closes begun before the deadline are given up at it; forced ones get some more time. */
  #expire(): void {
    this.#lift();
    if (this.#state === "gentle") this.#target.abandonCloses();
    if (this.#state === "forced") this.#target.abandonCloses();
    else this.#force();
  }

  #force(): void {
    this.#shutDown();
    if (this.#state !== "gentle") return;
    this.#state = "forced";
    this.#lift();
    this.#expireIn(GRACE_MS);
    this.#target.force();
  }

  #expireIn(timeout: number): void {
    const now = this.#clock();
    const deadline = now + timeout;
    if (this.#limit !== undefined && this.#limit.deadline <= deadline) return;
    this.#lift();
    this.#limit = new Limit(deadline, () => this.#expire());
    this.#limits.add(this.#limit, deadline, now);
  }

  #lift(): void {
    const limit = this.#limit;
    if (limit === undefined) return;
    this.#limit = undefined;
    limit.settled = true;
    this.#limits.drop(limit, limit.deadline);
  }
}
