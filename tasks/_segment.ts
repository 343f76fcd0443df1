import { type LinkedList, ListNode } from "../internal/linked_list.ts";
import type { Claim } from "./_claim.ts";
import { latestResolve, newPromise } from "./_deferred.ts";
import { Turn } from "./_turn.ts";

const LENGTH = 256;

/**
 * A piece of a line: so many claims, first come, first served. Slots are
 * granted, and then those who have one are called, each in its own async
 * context. One that has been withdrawn is passed over when its turn comes.
 *
 * A promise reaction keeps the async context of whoever made it, at 88 B and a
 * tenth of a microsecond, and makes the promise of the claim's answer besides;
 * an `AsyncResource` costs ten times as long. All claims of a segment wait for
 * one promise, its gate, which opens when the first of them is granted or
 * withdrawn. What it takes to call each by itself is made only then: it lives so
 * shortly that collecting it costs next to nothing, and what waits in a long
 * line is small. That is why the line is in pieces.
 */
export class Segment extends ListNode<Segment> {
  readonly #line: LinkedList<Segment>;
  /** Those who were called, or passed over, are not kept. */
  readonly #claims: (Claim | undefined)[] = [];
  /** The first who may be waiting; who is to be called; who has not been woken. */
  #nextToGrant = 0;
  #nextToCall = 0;
  #nextToWake = 0;
  /** How many have neither been called nor withdrawn. */
  #pending = 0;
  #call: "none" | "under way" = "none";
  readonly #gate = newPromise<Segment>();
  #openGate: ((segment: Segment) => void) | undefined = latestResolve<Segment>();

  constructor(line: LinkedList<Segment>) {
    super();
    this.#line = line;
  }

  get isExhausted(): boolean {
    return this.#claims.length === LENGTH;
  }

  get isEmpty(): boolean {
    return this.#pending === 0;
  }

  push(claim: Claim): void {
    claim.segment = this;
    this.#pending++;
    this.#claims.push(claim);
    if (claim.isCalled) claim.answer = this.#gate.then(wakeNext);
  }

  /** Takes the first that waits. */
  shift(): Claim | undefined {
    while (this.#nextToGrant < this.#claims.length) {
      const claim = this.#claims[this.#nextToGrant++];
      if (claim?.standing === "waiting") return claim;
    }
  }

  /** To be told when a claim has a slot and is to be called. */
  granted(): void {
    this.#open();
    this.advance();
  }

  /** To be told, in its async context, when a claim can be called. */
  awake(claim: Claim, turn: Turn): void {
    if (this.#toCall() === claim) this.callNext();
    else turn.await(callNext);
  }

  /** To be told when the first claim may wait no more. */
  advance(): void {
    const begin = this.#toCall()?.turn?.begin;
    if (begin === undefined) return;
    this.#call = "under way";
    begin(this);
  }

  /** To be told when a claim has what it wanted. */
  served(): void {
    this.#pending--;
    if (this.#pending === 0 && this.isExhausted) this.#drop();
  }

  /** To be told when a claim wants nothing any more. */
  withdrawn(): void {
    this.#pending--;
    this.#open();
    if (this.#pending === 0) this.#drop();
    else this.advance();
  }

  /** Those who wait, and those who have a slot and have not been called. */
  *[Symbol.iterator](): Generator<Claim> {
    for (let i = this.#nextToCall; i < this.#claims.length; i++) {
      const claim = this.#claims[i]!;
      if (claim.standing !== "over") yield claim;
    }
  }

  /** Finds who has a slot and nobody before him to be called. */
  #toCall(): Claim | undefined {
    if (this.#line.head !== this || this.#call === "under way") return undefined;
    while (this.#claims[this.#nextToCall]?.standing === "over") this.#pass();
    const claim = this.#claims[this.#nextToCall];
    return claim?.standing === "granted" ? claim : undefined;
  }

  #pass(): void {
    this.#forget(this.#nextToCall++);
  }

  #open(): void {
    const open = this.#openGate;
    this.#openGate = undefined;
    open?.(this);
  }

  #drop(): void {
    this.#line.remove(this);
    this.#line.head?.advance();
  }

  /** Keeps no claim longer than it is needed: a handle keeps its segment. */
  #forget(index: number): void {
    if (index < this.#nextToCall && index < this.#nextToWake) this.#claims[index] = undefined;
  }

  /** Called in the async context of each of the claims, one after the other. */
  wakeNext(): Turn {
    while (!this.#claims[this.#nextToWake]!.isCalled) this.#nextToWake++;
    const index = this.#nextToWake++;
    const claim = this.#claims[index]!;
    this.#forget(index);
    return claim.turn = new Turn(claim);
  }

  /** Called in the async context of the claim that is next. */
  callNext(): void {
    this.#call = "none";
    const claim = this.#claims[this.#nextToCall]!;
    this.#pass();
    claim.call();
    this.advance();
  }
}

// Not closures of a segment: V8 drops what it has optimised for one when that segment is gone.
const wakeNext = (segment: Segment) => segment.wakeNext();
const callNext = (segment: Segment) => segment.callNext();
