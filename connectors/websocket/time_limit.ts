import { graceFor } from "../../internal/deadline_queue.ts";
import { afterTurn } from "../../internal/loop_turn.ts";
import { LONGEST_DELAY } from "../../internal/timer.ts";

/**
 * - `off`: not started
 * - `waiting`: for the time to be over
 * - `grace`: the timer was late: the time of the stall is given back
 * - `turning`: the loop gets a turn, which may bring what is waited for
 */
type LimitState = "off" | "waiting" | "grace" | "turning";

/**
 * A time limit or a silence. A busy event loop is not a slow peer: it expires only after a
 * turn of the loop, and is extended by a stall, up to its own length.
 */
export class TimeLimit {
  readonly #limit: number;
  readonly #onExpired: () => void;
  #state: LimitState = "off";
  #due = Infinity;
  #cancel: () => void = () => {};

  constructor(limit: number, onExpired: () => void) {
    this.#limit = limit;
    this.#onExpired = onExpired;
  }

  /** Starts it, or starts it anew: a timer that is set stays set, and looks again when it fires. */
  start(): void {
    this.#due = performance.now() + this.#limit;
    if (this.#state !== "waiting") this.#wait("waiting", this.#limit);
  }

  /** Whether the time is over, also if it is not expired yet. */
  get isDue(): boolean {
    return performance.now() >= this.#due;
  }

  /** Stops it. It leaves no timer behind. */
  stop(): void {
    this.#cancel();
    this.#state = "off";
  }

  #wait(state: LimitState, delay: number): void {
    this.#cancel();
    this.#state = state;
    const timer = setTimeout(() => this.#fire(), Math.min(delay, LONGEST_DELAY));
    this.#cancel = () => clearTimeout(timer);
  }

  #fire(): void {
    const late = performance.now() - this.#due;
    if (late < 0) return this.#wait("waiting", Math.ceil(-late));
    const grace = this.#state === "waiting" ? Math.min(graceFor(late), this.#limit) : 0;
    if (grace > 0) return this.#wait("grace", grace);
    this.#state = "turning";
    this.#cancel = afterTurn(() => {
      this.#state = "off";
      this.#onExpired();
    });
  }
}
