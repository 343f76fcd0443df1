import { type Bounded, DeadlineQueue } from "../internal/deadline_queue.ts";
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

class Deadline implements Bounded {
  readonly deadline: number;
  readonly settled = false;

  constructor(deadline: number) {
    this.deadline = deadline;
  }
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
  readonly #limits: DeadlineQueue<Deadline>;
  /** Ends the listening to a signal that forces the close. */
  #end: AbortController | undefined;
  #state: ShutdownState = "open";
  #resolve!: (done: Promise<void>) => void;

  constructor(target: Closable, clock: () => number) {
    this.#target = target;
    this.#clock = clock;
    this.#limits = new DeadlineQueue(clock, () => this.#expire());
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
      this.#limits.clear();
      this.#end?.abort();
      this.#resolve(Promise.resolve()); // rejected callers are told before
    });
  }

  /** Closes begun before the deadline are given up at it; forced ones get some more time. */
  #expire(): void {
    if (this.#state === "gentle") this.#target.abandonCloses();
    if (this.#state === "forced") this.#target.abandonCloses();
    else this.#force();
  }

  #force(): void {
    this.#shutDown();
    if (this.#state !== "gentle") return;
    this.#state = "forced";
    this.#limits.clear();
    this.#expireIn(GRACE_MS);
    this.#target.force();
  }

  #expireIn(timeout: number): void {
    const now = this.#clock();
    this.#limits.add(new Deadline(now + timeout), now);
  }
}
