import { LinkedList, ListNode } from "../internal/linked_list.ts";
import { SignalRegistry } from "../internal/signal_registry.ts";
import type { ExchangeReply, ExchangeRequest, QueueEntry } from "./engine.ts";
import type { HeldPermit } from "./permit.ts";

/** The most entries of one session in the engine's queue; later callers wait here. */
const MAX_ENTRIES = 32;

const NONE: readonly never[] = [];

/** How long a caller waits. */
export interface WaitLimits {
  readonly signal: AbortSignal | undefined;
  readonly timeout: number;
  readonly deadline: number;
}

/** A caller that waits. */
export class Waiter extends ListNode<Waiter> {
  entry: Entry;
  readonly limits: WaitLimits;
  readonly resolve: (permit: HeldPermit) => void;
  readonly reject: (reason: unknown) => void;

  constructor(
    entry: Entry,
    limits: WaitLimits,
    resolve: (permit: HeldPermit) => void,
    reject: (reason: unknown) => void,
  ) {
    super();
    this.entry = entry;
    this.limits = limits;
    this.resolve = resolve;
    this.reject = reject;
  }
}

/** The waiters of one entry of the engine's queue, or, as long as it has no id, of the next one. */
class Entry extends LinkedList<Waiter> {
  id = 0;
  /** How many permits the engine still owes it, as far as is known. */
  owed = 0;
  /** How many of these no caller waits for any more, which the engine does not know yet. */
  unwanted = 0;
}

/**
 * The callers of one session that wait, in order: those for which the engine has
 * an entry in its queue, then those that go with the next one.
 */
export class Waiters {
  #next = new Entry();
  /** In order. Few, mostly one: to look it up in a map would cost more. */
  readonly #sent: Entry[] = [];
  readonly #aborts = new SignalRegistry<Waiter>((waiter, reason) => this.reject(waiter, reason));
  readonly #onUnwanted: () => void;
  #lastId = 0;
  #count = 0;
  #earliestDeadline = Infinity;

  /** `onUnwanted`: the engine is to be told that somebody waits no longer. */
  constructor(onUnwanted: () => void) {
    this.#onUnwanted = onUnwanted;
  }

  /** How many callers wait. */
  get count(): number {
    return this.#count;
  }

  /** When the first time limit is over, or earlier. */
  get earliestDeadline(): number {
    return this.#earliestDeadline;
  }

  /** Whether the engine has an entry in its queue. */
  get isQueued(): boolean {
    return this.#sent.length > 0;
  }

  /** Whether anything is waited for, or owed by the engine. */
  get isEmpty(): boolean {
    return this.#count === 0 && this.#sent.length === 0;
  }

  /** Whether the engine is to be told something. */
  get hasNews(): boolean {
    if (this.#next.size > 0 && this.#sent.length < MAX_ENTRIES) return true;
    return this.#sent.some(({ unwanted }) => unwanted > 0);
  }

  /** How many permits the engine owes, as far as is known. */
  get owed(): number {
    return this.#sent.reduce((sum, { owed }) => sum + owed, 0);
  }

  add(
    limits: WaitLimits,
    resolve: (permit: HeldPermit) => void,
    reject: (reason: unknown) => void,
  ): void {
    const waiter = new Waiter(this.#next, limits, resolve, reject);
    this.#next.push(waiter);
    this.#count++;
    if (limits.signal !== undefined) this.#aborts.add(limits.signal, waiter);
    this.#earliestDeadline = Math.min(this.#earliestDeadline, limits.deadline);
  }

  // What is sent ------------------------------------------------------------------------------

  /** The entries that the engine has. */
  get ids(): readonly number[] {
    return this.#sent.map(({ id }) => id);
  }

  /** What the engine's entries are to be shortened by. */
  get cancels(): readonly QueueEntry[] {
    if (this.#sent.length === 0) return NONE;
    return this.#sent.filter(({ unwanted }) => unwanted > 0)
      .map(({ id, unwanted }) => ({ entry: id, count: unwanted }));
  }

  /** All that have not been sent yet, as one entry. */
  send(): QueueEntry | undefined {
    const entry = this.#next;
    if (entry.size === 0 || this.#sent.length >= MAX_ENTRIES) return undefined;
    this.#next = new Entry();
    entry.id = ++this.#lastId;
    entry.owed = entry.size;
    this.#sent.push(entry);
    return { entry: entry.id, count: entry.owed };
  }

  // What comes back ---------------------------------------------------------------------------

  /** The engine has granted one permit to an entry: answers whose it is, if anybody waits for it still. */
  pay(id: number): Waiter | undefined {
    const entry = this.#entry(id);
    if (entry === undefined) return undefined;
    entry.owed--;
    const waiter = entry.head;
    if (waiter !== undefined) entry.remove(waiter);
    else entry.unwanted = Math.max(0, entry.unwanted - 1);
    this.#dropIfDone(entry);
    return waiter;
  }

  /** One that was paid has its permit. */
  resolve(waiter: Waiter, permit: HeldPermit): void {
    this.#settle(waiter);
    waiter.resolve(permit);
  }

  /** One that was paid has to wait on: before all that have not been sent. */
  putBack(waiter: Waiter): void {
    waiter.entry = this.#next;
    this.#next.insert(waiter, this.#next.head);
  }

  /** The engine has shortened its entries. */
  onCancelled(cancelled: readonly QueueEntry[]): void {
    for (const { entry: id, count } of cancelled) {
      const entry = this.#entry(id);
      if (entry === undefined) continue;
      entry.unwanted -= count;
      entry.owed -= count;
      this.#dropIfDone(entry);
    }
  }

  /** Makes the entries agree with the engine; entries that it does not know are sent again. */
  reconcile(reply: ExchangeReply, request: ExchangeRequest): void {
    const counts = new Map(reply.queued?.map(({ entry, count }) => [entry, count]));
    const told = new Set(request.reconcile);
    if (request.acquire !== undefined) told.add(request.acquire.entry);
    for (const entry of this.#sent.toReversed()) {
      // After a reply to a session that was not known, nothing is left of what came before.
      if (!told.has(entry.id) && reply.known) continue;
      const count = counts.get(entry.id) ?? 0;
      while (entry.size > count) {
        const last = entry.tail!;
        entry.remove(last);
        this.putBack(last);
      }
      entry.owed = count;
      entry.unwanted = count - entry.size;
      this.#dropIfDone(entry);
    }
  }

  // What ends a wait --------------------------------------------------------------------------

  reject(waiter: Waiter, reason: unknown): void {
    const { entry } = waiter;
    entry.remove(waiter);
    this.#settle(waiter);
    waiter.reject(reason);
    if (entry.id === 0) return;
    entry.unwanted++;
    this.#dropIfDone(entry);
    this.#onUnwanted();
  }

  rejectAll(reason: () => unknown): void {
    for (const waiter of this.#all()) this.reject(waiter, reason());
  }

  /** Rejects those whose time is over. */
  expire(now: number, reason: (timeout: number) => unknown): void {
    if (now < this.#earliestDeadline) return;
    this.#earliestDeadline = Infinity;
    for (const waiter of this.#all()) {
      const { deadline, timeout } = waiter.limits;
      if (deadline <= now) this.reject(waiter, reason(timeout));
      else this.#earliestDeadline = Math.min(this.#earliestDeadline, deadline);
    }
  }

  #all(): Waiter[] {
    return [...this.#sent, this.#next].flatMap((entry) => [...entry]);
  }

  #settle(waiter: Waiter): void {
    this.#count--;
    if (this.#count === 0) this.#earliestDeadline = Infinity;
    const { signal } = waiter.limits;
    if (signal !== undefined) this.#aborts.delete(signal, waiter);
  }

  #entry(id: number): Entry | undefined {
    return this.#sent.find((entry) => entry.id === id);
  }

  #dropIfDone(entry: Entry): void {
    if (entry.owed > 0 || entry.size > 0) return;
    const index = this.#sent.indexOf(entry);
    if (index >= 0) this.#sent.splice(index, 1);
  }
}
