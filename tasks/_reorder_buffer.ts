/** The value of an empty place. */
export const EMPTY = Symbol("empty");

/** Numbered values, added in any order and taken in the order of their numbers: a ring buffer that grows. */
export class ReorderBuffer<V> {
  #cells: (V | typeof EMPTY)[] = new Array(16).fill(EMPTY);
  /** The lowest number not yet taken. */
  #first = 0;

  put(index: number, value: V): void {
    while (index - this.#first >= this.#cells.length) this.#grow();
    this.#cells[index & (this.#cells.length - 1)] = value;
  }

  /** The value with the lowest number not yet taken, if it is there. */
  take(): V | typeof EMPTY {
    const cell = this.#first & (this.#cells.length - 1);
    const value = this.#cells[cell]!;
    if (value === EMPTY) return EMPTY;
    this.#cells[cell] = EMPTY;
    this.#first++;
    return value;
  }

  #grow(): void {
    const old = this.#cells;
    this.#cells = new Array(old.length * 2).fill(EMPTY);
    for (let index = this.#first; index < this.#first + old.length; index++) {
      this.#cells[index & (this.#cells.length - 1)] = old[index & (old.length - 1)]!;
    }
  }
}
