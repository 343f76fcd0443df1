// No literals where items are kept: V8 would soon allocate those among the old objects, and keep what
// is in them until it collects these.
const NONE: never[] = [];

/** Items by priority: the highest first, and first come, first served within it. */
export class PriorityQueue<T> {
  /** In the order in which they came; undefined where one is gone. */
  #items: (T | undefined)[] = NONE.slice();
  #priorities: number[] = NONE.slice();
  /**
   * A binary heap of indexes. In a heap of the items, V8 has to note each place that a young one is
   * moved to, for the next garbage collection.
   */
  readonly #heap: number[] = NONE.slice();

  /** The first, unless there is none. */
  get top(): T | undefined {
    return this.#heap.length === 0 ? undefined : this.#items[this.#heap[0]!];
  }

  get topPriority(): number {
    return this.#priorities[this.#heap[0]!]!;
  }

  /** How many it keeps room for: those that have gone count until it is compacted, or empty. */
  get capacity(): number {
    return this.#items.length;
  }

  push(item: T, priority: number): void {
    const added = this.#items.push(item) - 1;
    this.#priorities.push(priority);
    const heap = this.#heap;
    let place = heap.push(added) - 1;
    while (place > 0) {
      const parent = heap[(place - 1) >> 1]!;
      if (this.#priorities[parent]! >= priority) break;
      heap[place] = parent;
      place = (place - 1) >> 1;
    }
    heap[place] = added;
  }

  /** Removes the first. */
  pop(): void {
    const heap = this.#heap;
    this.#items[heap[0]!] = undefined;
    const last = heap.pop()!;
    const { length } = heap;
    if (length === 0) {
      this.#items.length = this.#priorities.length = 0;
      return;
    }
    let place = 0;
    for (;;) {
      let next = 2 * place + 1;
      if (next >= length) break;
      if (next + 1 < length && this.#isBefore(heap[next + 1]!, heap[next]!)) next++;
      if (this.#isBefore(last, heap[next]!)) break;
      heap[place] = heap[next]!;
      place = next;
    }
    heap[place] = last;
  }

  /** Drops the items that have gone, and those that are not to be kept. */
  compact(isKept: (item: T) => boolean): void {
    const [items, priorities] = [this.#items, this.#priorities];
    this.#items = NONE.slice();
    this.#priorities = NONE.slice();
    this.#heap.length = 0;
    for (let index = 0; index < items.length; index++) {
      const item = items[index];
      if (item !== undefined && isKept(item)) this.push(item, priorities[index]!);
    }
  }

  /** All that there are, in their order. */
  sorted(): { item: T; priority: number }[] {
    const indexes = this.#heap.toSorted((one, other) => this.#isBefore(one, other) ? -1 : 1);
    return indexes.map((index) => ({
      item: this.#items[index]!,
      priority: this.#priorities[index]!,
    }));
  }

  #isBefore(one: number, other: number): boolean {
    const own = this.#priorities[one]!;
    const others = this.#priorities[other]!;
    return own === others ? one < other : own > others;
  }
}
