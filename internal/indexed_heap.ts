/** A member of an {@linkcode IndexedHeap}, with its index, or -1. */
export interface HeapMember {
  heapIndex: number;
}

/** A binary heap whose members can be removed from the middle in time O(log n). */
export class IndexedHeap<M extends HeapMember> {
  readonly #members: M[] = [];
  readonly #isBefore: (a: M, b: M) => boolean;

  constructor(isBefore: (a: M, b: M) => boolean) {
    this.#isBefore = isBefore;
  }

  get size(): number {
    return this.#members.length;
  }

  get top(): M | undefined {
    return this.#members[0];
  }

  /** The member that comes right after the top. */
  get second(): M | undefined {
    const [, left, right] = this.#members;
    if (left === undefined || right === undefined) return left;
    return this.#isBefore(right, left) ? right : left;
  }

  has(member: M): boolean {
    return member.heapIndex >= 0;
  }

  /** Adds a member, or moves it after its order has changed. */
  put(member: M): void {
    if (!this.has(member)) {
      member.heapIndex = this.#members.length;
      this.#members.push(member);
    }
    this.#siftUp(member.heapIndex);
    this.#siftDown(member.heapIndex);
  }

  delete(member: M): void {
    const index = member.heapIndex;
    if (index < 0) return;
    const last = this.#members.pop()!;
    member.heapIndex = -1;
    if (last === member) return;
    this.#place(last, index);
    this.#siftUp(index);
    this.#siftDown(last.heapIndex);
  }

  #place(member: M, index: number): void {
    this.#members[index] = member;
    member.heapIndex = index;
  }

  #siftUp(index: number): void {
    const member = this.#members[index]!;
    while (index > 0) {
      const parent = this.#members[(index - 1) >> 1]!;
      if (!this.#isBefore(member, parent)) break;
      this.#place(parent, index);
      index = (index - 1) >> 1;
    }
    this.#place(member, index);
  }

  #siftDown(index: number): void {
    const members = this.#members;
    const member = members[index]!;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= members.length) break;
      const right = members[child + 1];
      if (right !== undefined && this.#isBefore(right, members[child]!)) child++;
      if (!this.#isBefore(members[child]!, member)) break;
      this.#place(members[child]!, index);
      index = child;
    }
    this.#place(member, index);
  }
}
