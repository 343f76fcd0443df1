import { AdmissionQueue } from "./_admission_queue.ts";
import type { Meter } from "./_meter.ts";
import type { Tally } from "./stats.ts";

/** Assigns the slots. */
export class Slots {
  readonly queue = new AdmissionQueue();
  readonly tally: Tally;
  /** The number of slots. */
  size: number;
  /** The number of held slots. */
  held = 0;
  isPaused = false;
  /** Counts every taken and returned slot, and every item. */
  moves = 0;
  /** The further requirements of a start. */
  readonly meter: Meter | undefined;
  readonly #onChange: () => void;

  /** `onChange` is called whenever a slot or a place in the queue becomes free. */
  constructor(size: number, tally: Tally, onChange: () => void, meter?: Meter) {
    this.size = size;
    this.tally = tally;
    this.meter = meter;
    this.#onChange = onChange;
    meter?.bind(this);
  }

  get isFull(): boolean {
    return this.held >= this.size;
  }

  get isIdle(): boolean {
    return this.held === 0 && this.queue.size === 0;
  }

  /** Whether an entry of that weight made now would get its slots now. */
  hasRoom(weight = 1): boolean {
    return this.queue.size === 0 && !this.isPaused && this.#fits(weight) &&
      (this.meter === undefined || this.meter.isReady);
  }

  /** Takes slots, if there are some and no entry waits for them. */
  tryEnter(weight: number): boolean {
    if (!this.hasRoom(weight)) return false;
    if (this.meter !== undefined && !this.meter.tryTake()) return false;
    this.#take(weight);
    return true;
  }

  /** Whether the holder of slots may go on to its next item with them. */
  get mayKeep(): boolean {
    return this.held <= this.size && !this.isPaused && this.meter === undefined;
  }

  /** Grants slots, as long as there are some and an entry waits for them. */
  dispatch(): void {
    const { queue, meter } = this;
    while (this.held < this.size && !this.isPaused && queue.size > 0) {
      const entry = queue.peek()!;
      if (!this.#fits(entry.weight)) return;
      if (meter !== undefined && !meter.tryTake()) return;
      queue.left();
      this.#take(entry.weight);
      entry.enter();
    }
  }

  /** Slots are free again. */
  leave(weight: number): void {
    this.moves++;
    this.held -= weight;
    this.meter?.giveBack();
    if (this.queue.size > 0) this.dispatch();
    this.#onChange();
  }

  /** An entry was withdrawn. */
  withdrawn(): void {
    this.queue.left();
    if (this.queue.size > 0) this.dispatch(); // it may have been a heavy one that blocked the head
    else this.meter?.rest();
    this.#onChange();
  }

  /** Whether the next entry waits for slots only. */
  get isStuck(): boolean {
    const next = this.queue.peek();
    return next !== undefined && !this.isPaused && !this.#fits(next.weight);
  }

  /** How many more could start, as far as slots go. */
  get room(): number {
    return Math.max(0, Math.min(this.size - this.held, this.queue.size));
  }

  /** A task that runs alone may take more slots than there are after a resize. */
  #fits(weight: number): boolean {
    return this.held + weight <= this.size || this.held === 0;
  }

  #take(weight: number): void {
    this.moves++;
    this.held += weight;
  }
}
