import { List, ListNode } from "../pool/_list.ts";
import { EntryLine } from "./_entry_line.ts";

/** What waits for a slot: one task, or a job that has work for one more lane. */
export abstract class Claim extends ListNode<Claim> {
  /** Where it waits, or last waited; kept by the queue. */
  level!: Level;
  /** The slot is the claim's from here on, until it leaves. */
  abstract enter(): void;
}

/** The claims of one priority, first come, first served. */
export class Level {
  readonly claims = new List<Claim>();
  readonly line = new EntryLine();

  constructor(readonly priority: number) {}
}

/** The claims of a pool, by priority. A level other than 0 exists only while somebody waits in it. */
export class ClaimQueue {
  readonly #ordinary = new Level(0);
  /** Highest priority first. */
  readonly #levels: Level[] = [this.#ordinary];
  size = 0;

  push(claim: Claim, priority: number): void {
    const level = priority === 0 ? this.#ordinary : this.#level(priority);
    claim.level = level;
    level.claims.push(claim);
    this.size++;
  }

  shift(): Claim | undefined {
    for (let i = 0; i < this.#levels.length; i++) {
      const level = this.#levels[i]!;
      const claim = level.claims.head;
      if (claim !== undefined) {
        this.remove(claim);
        return claim;
      }
      if (level !== this.#ordinary && level.line.isEmpty) this.#levels.splice(i--, 1);
    }
  }

  remove(claim: Claim): void {
    claim.level.claims.remove(claim);
    this.size--;
  }

  *[Symbol.iterator](): Generator<Claim> {
    for (const level of [...this.#levels]) yield* level.claims;
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
