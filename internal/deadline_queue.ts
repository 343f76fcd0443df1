import { SharedTimer } from "./shared_timer.ts";

/** What waits no longer than its deadline. */
export interface Bounded {
  /** By the pool's clock, in milliseconds; `Infinity` for none. */
  readonly deadline: number;
  /** Whether it has been answered, in whatever way. */
  readonly settled: boolean;
}

const SMALLEST_SWEEP = 64;

/**
 * The deadlines of all waiters behind one timer: a binary heap whose answered
 * entries stay until they come to the top, make up half of it, or nobody is left.
 * Mostly they come in the order of their deadlines, so that adding one is an append.
 */
export class DeadlineQueue<W extends Bounded> {
  readonly #heap: W[] = [];
  readonly #alarm: SharedTimer;
  readonly #clock: () => number;
  readonly #onDue: (waiter: W) => void;
  #live = 0;
  #state: "open" | "closed" = "open";

  constructor(clock: () => number, onDue: (waiter: W) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
    this.#alarm = new SharedTimer(clock, (due) => this.#expire(due), true);
  }

  add(waiter: W, now: number): void {
    if (waiter.deadline === Infinity) return;
    this.#live++;
    this.#heap.push(waiter);
    this.#siftUp(this.#heap.length - 1);
    this.#alarm.hold(true);
    this.#alarm.setBy(waiter.deadline, now);
  }

  /** To be called once for an added waiter, after it has been settled. */
  drop(waiter: W): void {
    if (waiter.deadline === Infinity) return;
    this.#live--;
    if (this.#live === 0) this.#rest();
    else if (this.#heap.length > SMALLEST_SWEEP && this.#live < this.#heap.length / 2) {
      this.#compact();
    }
  }

  clear(): void {
    this.#heap.length = 0;
    this.#live = 0;
    this.#alarm.clear();
  }

  /** Has no timer left behind, from now on, when nobody waits any more. */
  close(): void {
    this.#state = "closed";
    if (this.#live === 0) this.#rest();
  }

  #rest(): void {
    this.#heap.length = 0;
    if (this.#state === "open") this.#alarm.hold(false);
    else this.#alarm.clear();
  }

  #expire(due: number): void {
    // A timer may fire a fraction before its time by the other clock.
    const now = Math.max(this.#clock(), due);
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      if (!top.settled && top.deadline > now) return this.#alarm.setBy(top.deadline);
      this.#removeTop();
      if (!top.settled) this.#onDue(top);
    }
  }

  #compact(): void {
    const live = this.#heap.filter((waiter) => !waiter.settled);
    this.#heap.length = 0;
    for (const waiter of live) {
      this.#heap.push(waiter);
      this.#siftUp(this.#heap.length - 1);
    }
  }

  #removeTop(): void {
    const last = this.#heap.pop()!;
    if (this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#siftDown(0);
  }

  #siftUp(index: number): void {
    const heap = this.#heap;
    const waiter = heap[index]!;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (heap[parent]!.deadline <= waiter.deadline) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = waiter;
  }

  #siftDown(index: number): void {
    const heap = this.#heap;
    const waiter = heap[index]!;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.deadline < heap[child]!.deadline) child++;
      if (heap[child]!.deadline >= waiter.deadline) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = waiter;
  }
}
