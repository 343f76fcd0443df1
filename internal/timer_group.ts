import { type HeapMember, IndexedHeap } from "./indexed_heap.ts";
import { SharedTimer } from "./shared_timer.ts";

/** Timers of many owners behind one platform timer, which does not keep the process alive. */
export class TimerGroup {
  readonly #clock: () => number;
  readonly #members = new IndexedHeap<GroupTimer>((a, b) => a.due < b.due);
  readonly #timer: SharedTimer;

  constructor(clock: () => number) {
    this.#clock = clock;
    this.#timer = new SharedTimer(clock, () => this.#fire(), false);
  }

  /** Adds a timer, which is not set. `onFire` is called when it is due, and sets it again. */
  timer(onFire: () => void): GroupTimer {
    return new GroupTimer(this, onFire);
  }

  /** Called by a timer when it is set or set again. */
  put(member: GroupTimer, now: number): void {
    this.#members.put(member);
    this.#timer.fireBy(member.due, now);
  }

  /** Called by a timer when it is cleared. */
  remove(member: GroupTimer): void {
    this.#members.delete(member);
    if (this.#members.size === 0) this.#timer.clear();
  }

  #fire(): void {
    const now = this.#clock();
    let { top } = this.#members;
    while (top !== undefined && top.due <= now) {
      top.fire();
      ({ top } = this.#members);
    }
    if (top !== undefined) this.#timer.fireBy(top.due, now);
  }
}

/** One timer of a group, with the methods of a {@linkcode SharedTimer}. */
export class GroupTimer implements HeapMember {
  readonly #group: TimerGroup;
  readonly #onFire: () => void;
  heapIndex = -1;
  due = Infinity;

  constructor(group: TimerGroup, onFire: () => void) {
    this.#group = group;
    this.#onFire = onFire;
  }

  /** Fires at `due` at the latest. An earlier time stays, unless the clock has leapt past it. */
  fireBy(due: number, now: number): void {
    if (due >= this.due && now < this.due) return;
    this.due = Math.min(due, this.due);
    this.#group.put(this, now);
  }

  clear(): void {
    this.#group.remove(this);
    this.due = Infinity;
  }

  /** Called by the group. */
  fire(): void {
    this.clear();
    this.#onFire();
  }
}
