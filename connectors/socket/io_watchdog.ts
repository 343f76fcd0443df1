import { graceFor } from "../../internal/deadline_queue.ts";
import { eventLoopLag } from "../../internal/event_loop_lag.ts";

/**
 * Notices when an operation waits for longer than a limit. There is at most one timer at a
 * time for all operations: each only moves the time that the timer checks.
 *
 * A stall of the event loop is not counted. A timer that fires late gives the
 * operation so much more time, and nothing expires before the loop has turned.
 * The timer never keeps the process alive: that is up to the operation.
 */
export class IoWatchdog {
  readonly #limit: number;
  readonly #onExpire: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer is to fire. */
  #firesAt = 0;
  #due = Infinity;
  /** The deadline that was already extended for a stall. */
  #extended = 0;

  constructor(limit: number, onExpire: () => void) {
    this.#limit = limit;
    this.#onExpire = onExpire;
  }

  /** An operation begins to wait. */
  begin(): void {
    const now = performance.now();
    this.#due = now + this.#limit;
    if (this.#timer === undefined) this.#set(now, this.#limit);
  }

  /** The operation has ended. */
  end(): void {
    this.#due = Infinity;
  }

  /** The socket becomes idle: drops the timer. */
  rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#due = Infinity;
  }

  #set(now: number, delay: number): void {
    this.#firesAt = now + delay;
    this.#timer = setTimeout(() => this.#tick(), Math.ceil(delay));
    (this.#timer as { unref?(): void }).unref?.();
  }

  #tick(): void {
    this.#timer = undefined;
    if (this.#due === Infinity) return;
    const now = performance.now();
    const left = this.#due - now;
    const lost = Math.min(graceFor(now - this.#firesAt), this.#limit);
    if (left > 0) this.#set(now, left);
    else if (lost > 0 && this.#extended !== this.#due) {
      this.#extended = this.#due;
      this.#set(now, lost);
    } else this.#expireAfterTurn();
  }

  #expireAfterTurn(): void {
    const due = this.#due;
    eventLoopLag.turn().then(() => {
      if (this.#due === due) this.#onExpire();
    });
  }
}
