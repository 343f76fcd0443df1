import { LinkedList } from "../internal/linked_list.ts";
import type { Claim } from "./_claim.ts";
import { Segment } from "./_segment.ts";

/** The claims of one priority, first come, first served. */
class Level {
  readonly #segments = new LinkedList<Segment>();

  constructor(readonly priority: number) {}

  get isEmpty(): boolean {
    const { head, tail } = this.#segments;
    return head === undefined || head === tail && head.isEmpty;
  }

  push(claim: Claim): void {
    let segment = this.#segments.tail;
    if (segment === undefined || segment.isExhausted) {
      segment = new Segment(this.#segments);
      this.#segments.push(segment);
    }
    segment.push(claim);
  }

  shift(): Claim | undefined {
    for (let segment = this.#segments.head; segment !== undefined; segment = segment.next) {
      const claim = segment.shift();
      if (claim !== undefined) return claim;
    }
  }

  *[Symbol.iterator](): Generator<Claim> {
    for (const segment of this.#segments) yield* segment;
  }
}

/** The claims of a pool, by priority. A level other than 0 exists only while somebody waits in it. */
export class ClaimQueue {
  readonly #ordinary = new Level(0);
  /** Highest priority first. */
  readonly #levels: Level[] = [this.#ordinary];
  /** How many wait. */
  size = 0;

  push(claim: Claim, priority: number): void {
    const level = priority === 0 ? this.#ordinary : this.#level(priority);
    level.push(claim);
    this.size++;
  }

  shift(): Claim | undefined {
    if (this.size === 0) return undefined;
    for (let i = 0; i < this.#levels.length; i++) {
      const level = this.#levels[i]!;
      const claim = level.shift();
      if (claim !== undefined) {
        this.size--;
        return claim;
      }
      if (level !== this.#ordinary && level.isEmpty) this.#levels.splice(i--, 1);
    }
  }

  /** To be told when a claim waits no more, and was not granted. */
  withdrawn(): void {
    this.size--;
  }

  *[Symbol.iterator](): Generator<Claim> {
    for (const level of [...this.#levels]) yield* level;
  }

  #level(priority: number): Level {
    const index = this.#indexOf(priority);
    const present = this.#levels[index];
    if (present?.priority === priority) return present;
    const level = new Level(priority);
    this.#levels.splice(index, 0, level);
    return level;
  }

  /** Where a priority stands or would stand. */
  #indexOf(priority: number): number {
    let [low, high] = [0, this.#levels.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#levels[middle]!.priority > priority) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
