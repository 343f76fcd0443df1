/** What is in a {@linkcode Bag}, in one at a time. */
export interface Member {
  /** Where it is; kept by the bag. */
  place: number;
}

/**
 * Members in no order. A `Set` makes a new table again and again as members come
 * and go, and its old tables keep each other, and what was in them, from being collected.
 */
export class Bag<M extends Member> {
  readonly #members: M[] = [];

  add(member: M): void {
    member.place = this.#members.length;
    this.#members.push(member);
  }

  delete(member: M): void {
    const last = this.#members.pop()!;
    if (last === member) return;
    this.#members[member.place] = last;
    last.place = member.place;
  }

  [Symbol.iterator](): Iterator<M> {
    return this.#members.values();
  }
}
