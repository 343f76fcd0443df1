/** What waits for a slot: one task, or a ticket of a job that has work for one more lane. */
export abstract class Claim {
  /** Who comes after it; kept by the level. */
  next: Claim | undefined = undefined;
  /** Where it stands, or stood; kept by the queue. */
  level!: Level;
  /** Whether it still wants a slot and has none. */
  abstract readonly isWaiting: boolean;
  /** Whether it is to be called, in the async context in which it came. */
  abstract readonly isCalled: boolean;
  /** The slot is the claim's from here on, until it leaves. */
  abstract enter(): void;
  /** Runs, or does nothing if it was decided meanwhile that it does not. */
  abstract call(): void;
}

const NOW = Promise.resolve();

/**
 * The claims of one priority, first come, first served. It grants slots, and
 * then calls those who have one, each in its own async context. One that has
 * been withdrawn is passed over when its turn comes.
 *
 * The calls are a chain of `then`s: a promise reaction keeps the async context
 * of whoever made it, at 88 B and a tenth of a microsecond. An `AsyncResource`
 * for every task costs ten times as long.
 */
export class Level {
  /** All from here on may be waiting. */
  #nextToGrant: Claim | undefined;
  #nextToCall: Claim | undefined;
  #last: Claim | undefined;
  #calls: Promise<unknown> = NOW;
  #open: (() => void) | undefined;

  constructor(readonly priority: number) {}

  get isEmpty(): boolean {
    return this.#nextToGrant === undefined && this.#nextToCall === undefined;
  }

  push(claim: Claim): void {
    if (this.#last !== undefined) this.#last.next = claim;
    this.#last = claim;
    this.#nextToGrant ??= claim;
    if (!claim.isCalled) return;
    if (this.#nextToCall === undefined) {
      this.#nextToCall = claim;
      this.#calls = Promise.resolve(this.#gate);
    }
    this.#calls = this.#calls.then(this.#callNext);
  }

  /** Takes the first that waits. */
  shift(): Claim | undefined {
    let claim = this.#nextToGrant;
    while (claim !== undefined && !claim.isWaiting) claim = claim.next;
    this.#nextToGrant = claim?.next;
    if (this.isEmpty) this.#last = undefined;
    return claim;
  }

  /** To be told when one of its claims waits no more. */
  advance(): void {
    if (this.#open === undefined || this.#nextToCall!.isWaiting) return;
    const open = this.#open;
    this.#open = undefined;
    open();
  }

  *[Symbol.iterator](): Generator<Claim> {
    for (let claim = this.#nextToGrant; claim !== undefined; claim = claim.next) {
      if (claim.isWaiting) yield claim;
    }
  }

  /** What the calls stop at as long as the next claim waits. A promise would be one for each of them. */
  readonly #gate: PromiseLike<void> = {
    then: (open) => {
      this.#open = open as () => void;
      this.advance();
      return NOW as Promise<never>;
    },
  };

  readonly #callNext = () => {
    const claim = this.#nextToCall!;
    let next = claim.next;
    while (next !== undefined && !next.isCalled) next = next.next;
    this.#nextToCall = next;
    if (this.isEmpty) this.#last = undefined;
    // Decided before the call, which may have others join.
    const gate = next?.isWaiting ? this.#gate : undefined;
    claim.call();
    return gate;
  };
}
