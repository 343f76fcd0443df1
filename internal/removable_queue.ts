/** A member of a {@linkcode RemovableQueue}. */
export interface Ranked {
  /** Its place: the lowest rank is the head. Ranks are unique. */
  readonly rank: number;
}

// A shorter queue is not worth compacting.
const SHORTEST = 64;

/**
 * A queue whose members can be removed from anywhere: an array in which the rank of a removed
 * member stays, so that others are found by bisection. A linked list would be simpler, but a
 * garbage collector follows its links one by one, which made each of 20,000 waiters half as
 * expensive again.
 */
export class RemovableQueue<M extends Ranked> {
  #places: (M | number)[] = [];
  /** The index of the head. */
  #first = 0;
  size = 0;

  get head(): M | undefined {
    return this.#places[this.#first] as M | undefined; // undefined if the queue is empty
  }

  /** Adds a member in the order of ranks, mostly at the end. */
  push(member: M): void {
    const places = this.#places;
    const { length } = places;
    if (length === this.#first || this.#rankAt(length - 1) < member.rank) places.push(member);
    else this.#insert(member);
    this.size++;
  }

  remove(member: M): void {
    const isHead = this.#places[this.#first] === member;
    this.#removeAt(isHead ? this.#first : this.#indexOf(member), member);
  }

  /** Removes the head, if there is one. */
  shift(): M | undefined {
    const { head } = this;
    if (head !== undefined) this.#removeAt(this.#first, head);
    return head;
  }

  #insert(member: M): void {
    let low = this.#first;
    let high = this.#places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#rankAt(middle) < member.rank) low = middle + 1;
      else high = middle;
    }
    this.#places.splice(low, 0, member);
  }

  #removeAt(index: number, member: M): void {
    this.#places[index] = member.rank;
    this.size--;
    if (index === this.#first) this.#first = this.#taken(index + 1);
    const { length } = this.#places;
    if (this.size === 0 || length > SHORTEST && this.size < length / 2) this.#tidy();
  }

  /** The member behind this one. */
  after(member: M): M | undefined {
    const index = this.#indexOf(member);
    const next = this.#taken(index + 1);
    if (next > index + 1) this.#moveUp(index, next - 1);
    return next < this.#places.length ? this.#places[next] as M : undefined;
  }

  /** Iterates from head to tail; the member just yielded, and no other, may be removed. */
  *[Symbol.iterator](): Generator<M> {
    let member = this.head;
    while (member !== undefined) {
      const next = this.after(member);
      yield member;
      member = next;
    }
  }

  /** The first occupied place from this one on. */
  #taken(index: number): number {
    while (index < this.#places.length && typeof this.#places[index] === "number") index++;
    return index;
  }

  #indexOf(member: M): number {
    let low = this.#first;
    if (this.#places[low] === member) return low;
    let high = this.#places.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.#rankAt(middle) > member.rank) high = middle;
      else low = middle;
    }
    return low;
  }

  #rankAt(index: number): number {
    const place = this.#places[index]!;
    return typeof place === "number" ? place : place.rank;
  }

  /** Closes the gap behind a member, so that it is not searched again while others are removed. */
  #moveUp(from: number, to: number): void {
    const member = this.#places[from] as M;
    this.#places.fill(member.rank, from, to);
    this.#places[to] = member;
    if (from === this.#first) this.#first = to;
  }

  #tidy(): void {
    const rest = this.#places.slice(this.#first);
    const isWhole = rest.length === this.size;
    this.#places = isWhole ? rest : rest.filter((place) => typeof place !== "number");
    this.#first = 0;
  }
}
