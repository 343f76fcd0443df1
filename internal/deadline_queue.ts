import { afterTurn } from "./loop_turn.ts";
import { SharedTimer } from "./shared_timer.ts";

/** What waits no longer than its deadline. */
export interface Bounded {
  /** By the monotonic clock, in milliseconds; `Infinity` for none. */
  readonly deadline: number;
  /** Whether it is over, in any way. */
  readonly settled: boolean;
  /** Its deadline has passed. It is to be settled, and dropped from the queue. */
  expire(): void;
}

/** A deadline that calls back. */
export class Limit implements Bounded {
  readonly deadline: number;
  readonly expire: () => void;
  settled = false;

  constructor(deadline: number, expire: () => void) {
    this.deadline = deadline;
    this.expire = expire;
  }
}

const SMALLEST_SWEEP = 64;

/** A timer that fires later than this was delayed by a stall. */
export const STALL_MS = 3;

/** The longest delay of the timer, so that none stays for long when no entry waits. */
const LONGEST_SETTING_MS = 500;

/** How much of a stall is given back at most. */
const LONGEST_GRACE_MS = 250;

/**
 * How much longer a limit holds whose timer fired late by so many milliseconds.
 * The time for which the loop was held up is not counted against the limit,
 * since nothing could be reported meanwhile.
 */
export function graceFor(lateness: number): number {
  return lateness > STALL_MS ? Math.min(lateness, LONGEST_GRACE_MS) : 0;
}

/**
 * - `waiting`: for the earliest deadline
 * - `grace`: the timer was late: the time of the stall is given back
 * - `turning`: the loop gets a turn, which may bring what is waited for
 */
type QueueState = "waiting" | "grace" | "turning";

/** Entries in the order of their deadlines. */
class Lane {
  entries: (Bounded | undefined)[] = [];
  /** The index of the first entry. */
  first = 0;
  /** The deadline of the last entry. */
  last = -Infinity;

  get head(): Bounded | undefined {
    return this.entries[this.first];
  }

  clear(): void {
    if (this.entries.length > SMALLEST_SWEEP) this.entries = [];
    else this.entries.length = 0;
    this.first = 0;
    this.last = -Infinity;
  }

  /** Removes the settled entries. */
  sweep(): void {
    const { entries } = this;
    let kept = 0;
    for (let index = this.first; index < entries.length; index++) {
      if (!entries[index]!.settled) entries[kept++] = entries[index]!;
    }
    entries.length = kept;
    this.first = 0;
  }
}

// One for each common timeout: of waiters, dials, checks, and one more.
const MOST_LANES = 4;

/**
 * The deadlines of any number of waiters, and of whatever else is bounded, behind one timer.
 *
 * An entry joins the first lane in which its deadline is the last, so that each common timeout
 * has a lane of its own; what fits in none is in a binary heap. Settled entries stay until they
 * come to the front, make up half, or nothing is waited for.
 *
 * A busy event loop is not a slow peer: nothing expires before the loop has had
 * a turn after the deadline.
 */
export class DeadlineQueue {
  readonly #timer: SharedTimer;
  readonly #clock: () => number;
  readonly #lanes: Lane[] = [];
  readonly #heap: Bounded[] = [];
  #live = 0;
  /** How many entries there are, settled ones included. */
  #size = 0;
  #state: QueueState = "waiting";
  #cancelTurn: (() => void) | undefined = undefined;
  #keepsTimer = true;

  constructor(clock: () => number) {
    this.#clock = clock;
    this.#timer = new SharedTimer(clock, (due) => this.#fire(due), true);
  }

  /** The deadline is given, as are those of `drop()`: entries are of many classes, in which to look it up takes long. */
  add(waiter: Bounded, deadline: number, now: number): void {
    if (deadline === Infinity) return;
    if (this.#live++ === 0) this.#timer.setRef(true);
    this.#size++;
    const lane = this.#laneFor(deadline);
    if (lane === undefined) this.#pushHeap(waiter);
    else {
      lane.last = deadline;
      lane.entries.push(waiter);
    }
    if (deadline < this.#timer.due && this.#state === "waiting") this.#fireBy(deadline, now);
  }

  /** To be called once for an added waiter, after it has been settled. */
  drop(waiter: Bounded, deadline: number): void {
    if (deadline === Infinity) return;
    if (--this.#live === 0) return this.#rest();
    for (const lane of this.#lanes) {
      if (lane.entries[lane.first] !== waiter) continue;
      // The usual case. An entry that stayed would outlive a collection of young objects.
      lane.entries[lane.first++] = undefined;
      this.#size--;
      break;
    }
    if (this.#size > SMALLEST_SWEEP) this.#sweepIfMostlySettled();
  }

  /** Forgets all entries, and stops the timer. */
  clear(): void {
    this.#empty();
    this.#live = 0;
    this.#stop();
  }

  /** From now on no timer stays when no entry waits. */
  close(): void {
    this.#keepsTimer = false;
    if (this.#live === 0) this.#stop();
  }

  #rest(): void {
    this.#empty();
    // To leave the timer for the next waiter costs less than to set it anew.
    if (this.#keepsTimer && this.#state === "waiting") this.#timer.setRef(false);
    else this.#stop();
  }

  #stop(): void {
    this.#cancelTurn?.();
    this.#timer.clear();
    this.#state = "waiting";
  }

  #empty(): void {
    for (const lane of this.#lanes) lane.clear();
    this.#heap.length = 0;
    this.#size = 0;
  }

  #laneFor(deadline: number): Lane | undefined {
    for (const lane of this.#lanes) if (deadline >= lane.last) return lane;
    if (this.#lanes.length === MOST_LANES) return undefined;
    const lane = new Lane();
    this.#lanes.push(lane);
    return lane;
  }

  #fireBy(deadline: number, now: number): void {
    this.#timer.fireBy(Math.min(deadline, now + LONGEST_SETTING_MS), now);
  }

  #fire(due: number): void {
    const now = Math.max(this.#clock(), due); // a timer may fire a fraction too early by the other clock
    const grace = this.#state === "grace" ? 0 : graceFor(now - due);
    if (this.#peek(now) === undefined) {
      this.#state = "waiting";
      this.#await(now);
    } else if (grace > 0) {
      this.#state = "grace";
      this.#timer.fireBy(now + grace, now);
    } else {
      this.#state = "turning";
      this.#cancelTurn = afterTurn(() => this.#expire(now));
    }
  }

  /** All that was due at this time has had its turn. */
  #expire(horizon: number): void {
    this.#state = "waiting";
    this.#cancelTurn = undefined;
    try {
      for (let next = this.#peek(horizon); next !== undefined; next = this.#peek(horizon)) {
        this.#remove(next);
        next.expire();
      }
    } finally { // one that throws does not stop the others
      if (this.#state === "waiting") this.#await(this.#clock());
    }
  }

  #await(now: number): void {
    const next = this.#peek(Infinity);
    if (next !== undefined) this.#fireBy(next.deadline, now);
  }

  /** The unsettled entry that is due first, if it is by this time. */
  #peek(horizon: number): Bounded | undefined {
    while (this.#heap[0]?.settled) this.#popHeap();
    let [next] = this.#heap;
    for (const lane of this.#lanes) {
      while (lane.head?.settled) this.#shift(lane);
      const { head } = lane;
      if (head !== undefined && (next === undefined || head.deadline <= next.deadline)) next = head;
    }
    return next !== undefined && next.deadline <= horizon ? next : undefined;
  }

  #remove(next: Bounded): void {
    const lane = this.#lanes.find(({ head }) => head === next);
    if (lane === undefined) this.#popHeap();
    else this.#shift(lane);
  }

  #shift(lane: Lane): void {
    lane.first++;
    this.#size--;
  }

  #sweepIfMostlySettled(): void {
    if (2 * this.#live >= this.#size) return;
    for (const lane of this.#lanes) lane.sweep();
    if (this.#heap.length > 0) {
      const rest = this.#heap.filter((waiter) => !waiter.settled);
      this.#heap.length = 0;
      for (const waiter of rest) this.#pushHeap(waiter);
    }
    this.#size = this.#lanes.reduce((sum, { entries }) => sum + entries.length, this.#heap.length);
  }

  #pushHeap(waiter: Bounded): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(waiter);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (heap[parent]!.deadline <= waiter.deadline) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = waiter;
  }

  #popHeap(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    this.#size--;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.deadline < heap[child]!.deadline) child++;
      if (heap[child]!.deadline >= last.deadline) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}
