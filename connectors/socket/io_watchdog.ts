/**
 * Notices when an operation has been waiting for longer than a limit. It sets
 * at most one timer a lease, however many operations there are: each only
 * moves the time that the timer will look at.
 */
export class IoWatchdog {
  readonly #limit: number;
  readonly #onStall: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #due = Infinity;

  constructor(limit: number, onStall: () => void) {
    this.#limit = limit;
    this.#onStall = onStall;
  }

  /** An operation begins to wait. */
  begin(): void {
    this.#due = performance.now() + this.#limit;
    if (this.#timer === undefined) this.#look(this.#limit);
  }

  /** It waits no more. */
  end(): void {
    this.#due = Infinity;
  }

  /** No operation will begin for a while: drops the timer. */
  rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#due = Infinity;
  }

  #look(delay: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const left = this.#due - performance.now();
      if (left <= 0) this.#onStall();
      else if (left < Infinity) this.#look(Math.ceil(left));
    }, delay);
  }
}
