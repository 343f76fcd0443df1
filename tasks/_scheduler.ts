import { ClaimQueue } from "./_queue.ts";
import { Tally } from "./stats.ts";

/** Who holds a slot, and who gets the next. */
export class Scheduler {
  readonly queue = new ClaimQueue();
  readonly tally = new Tally();
  readonly #onChange: () => void;
  size: number;
  running = 0;
  isPaused = false;

  /** `onChange` is called whenever a slot or a place in the queue becomes free. */
  constructor(size: number, onChange: () => void) {
    this.size = size;
    this.#onChange = onChange;
  }

  get isFull(): boolean {
    return this.running >= this.size;
  }

  /** Whether a claim made now would get a slot now. */
  get hasRoom(): boolean {
    return this.running < this.size && !this.isPaused && this.queue.size === 0;
  }

  /** Takes a slot, if there is one that nobody waits for. */
  tryEnter(): boolean {
    if (!this.hasRoom) return false;
    this.running++;
    return true;
  }

  /** Gives out slots, as long as there are some and somebody wants them. */
  dispatch(): void {
    while (this.running < this.size && !this.isPaused) {
      const claim = this.queue.shift();
      if (claim === undefined) return;
      this.running++;
      claim.enter();
    }
  }

  /** A slot is free again. */
  leave(): void {
    this.running--;
    if (this.queue.size > 0) this.dispatch();
    this.#onChange();
  }

  /** A claim waits no more, and was not granted. */
  withdrawn(): void {
    this.queue.withdrawn();
    this.#onChange();
  }
}
