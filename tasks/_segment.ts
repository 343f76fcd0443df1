import { type List, ListNode } from "../pool/_list.ts";
import type { Claim } from "./_claim.ts";

const LENGTH = 64;
const NOW = Promise.resolve();

/**
 * What the calls of a segment stop at as long as the next claim waits. A promise
 * would be one for each of them. It is a class, for V8 drops what it has optimised
 * for a closure of a segment when that segment is gone.
 */
class Gate implements PromiseLike<void> {
  readonly #segment: Segment;
  #open: (() => void) | undefined = undefined;

  constructor(segment: Segment) {
    this.#segment = segment;
  }

  then(open: unknown): Promise<never> {
    this.#open = open as () => void;
    this.#segment.advance();
    return NOW as Promise<never>;
  }

  /** Lets through whoever has come to it. */
  open(): void {
    const open = this.#open;
    this.#open = undefined;
    open?.();
  }
}

/**
 * A piece of a line: so many claims, first come, first served. Slots are
 * granted, and then those who have one are called, each in its own async
 * context. One that has been withdrawn is passed over when its turn comes.
 *
 * The calls are a chain of `then`s: a promise reaction keeps the async context
 * of whoever made it, at 88 B and a tenth of a microsecond. An `AsyncResource`
 * for every task costs ten times as long. But nothing can be taken out of a
 * chain: that is why the line is in pieces, which go when all of them is withdrawn.
 */
export class Segment extends ListNode<Segment> {
  readonly #line: List<Segment>;
  /** All from here on may be waiting. */
  #nextToGrant: Claim | undefined;
  #nextToCall: Claim | undefined;
  #last: Claim | undefined;
  /** How many have joined; how many have neither been called nor withdrawn. */
  #joined = 0;
  #pending = 0;
  #calls: Promise<unknown> = NOW;
  readonly #gate = new Gate(this);

  constructor(line: List<Segment>) {
    super();
    this.#line = line;
  }

  get isExhausted(): boolean {
    return this.#joined === LENGTH;
  }

  get isEmpty(): boolean {
    return this.#pending === 0;
  }

  push(claim: Claim): void {
    claim.segment = this;
    this.#joined++;
    this.#pending++;
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
    this.#forget();
    return claim;
  }

  /** To be told when the first claim may wait no more. */
  advance(): void {
    if (this.#line.head !== this || this.#nextToCall?.isWaiting) return;
    this.#gate.open();
  }

  /** To be told when a claim has what it wanted. */
  served(): void {
    this.#pending--;
    if (this.#pending === 0 && this.isExhausted) this.#drop();
  }

  /** To be told when a claim wants nothing any more. */
  withdrawn(): void {
    this.#pending--;
    if (this.#pending === 0) this.#drop();
    else this.advance();
  }

  *[Symbol.iterator](): Generator<Claim> {
    for (let claim = this.#nextToGrant; claim !== undefined; claim = claim.next) {
      if (claim.isWaiting) yield claim;
    }
  }

  #drop(): void {
    this.#line.remove(this);
    this.#line.head?.advance();
  }

  /** Keeps no claim longer than it is needed. */
  #forget(): void {
    if (this.#nextToGrant === undefined && this.#nextToCall === undefined) this.#last = undefined;
  }

  readonly #callNext = () => {
    const claim = this.#nextToCall!;
    let next = claim.next;
    while (next !== undefined && !next.isCalled) next = next.next;
    this.#nextToCall = next;
    this.#forget();
    // Decided before the call, which may have others join.
    const gate = next?.isWaiting ? this.#gate : undefined;
    claim.call();
    return gate;
  };
}
