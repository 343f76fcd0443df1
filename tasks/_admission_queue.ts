import { LinkedList, ListNode } from "../internal/linked_list.ts";
import { latestResolve, newPromise } from "./_promises.ts";

// A promise reaction keeps the async context of the code that made it, at 88 B and a tenth of a
// microsecond; an `AsyncResource` costs ten times as long. So every entry that is to be called is a
// reaction, and the reaction's own promise is the promise of its answer. That takes three steps:
//
// 1. All entries of a chunk wait for one promise, its gate. An entry is one reaction and nothing
//    else: what waits in a long queue is small.
// 2. The gate opens when the first entry of the chunk is granted a slot or withdrawn. Each entry's
//    reaction then runs in the entry's context and returns a thenable, its `Resolver`. The runtime
//    calls `then` with the functions that settle the answer: they need not have been made before.
// 3. An entry whose turn has come is called there and then. Each of the others keeps its context by
//    a promise of its own, and is called through that. Those live so shortly that collecting them
//    costs next to nothing, which is why the queue is in chunks.
const CHUNK_LENGTH = 256;

/** What waits for a slot: one task, or a job that has work for one item runner more. */
export abstract class QueueEntry {
  /** The chunk in which it stands, or stood. */
  chunk!: Chunk;
  /** What its call comes to, if it is called at all; made when it is queued. */
  answer!: Promise<unknown>;
  /** There from the moment that the answer can be settled until it is. */
  resolver: Resolver | undefined = undefined;
  /** Waits for a slot; has one, and is to be called; or neither any more. */
  abstract readonly status: "waiting" | "granted" | "over";
  /** Whether it is to be called, in the async context in which it was queued. */
  abstract readonly isCalled: boolean;
  /** How many slots it takes. */
  abstract readonly weight: number;
  /** The slots are the entry's from here on, until it leaves. */
  abstract enter(): void;
  /** Its answer can be settled; it does so if it has been decided already how. */
  abstract onReady(resolver: Resolver): void;
  /** Runs, or does nothing if it was decided meanwhile that it does not. */
  abstract call(): void;
  /** It can't be granted a slot, now or ever. */
  abstract refuse(reason: unknown): void;
}

/** What settles an entry's answer; see step 2 above. */
export class Resolver implements PromiseLike<unknown> {
  resolve!: (value: unknown) => void;
  reject!: (reason: unknown) => void;
  /** Has the entry called, in its async context. Undefined as long as it cannot be. */
  begin: ((chunk: Chunk) => void) | undefined = undefined;
  readonly #entry: QueueEntry;

  constructor(entry: QueueEntry) {
    this.#entry = entry;
  }

  then(resolve: unknown, reject: unknown): Promise<never> {
    this.resolve = resolve as (value: unknown) => void;
    this.reject = reject as (reason: unknown) => void;
    this.#entry.onReady(this);
    return undefined as never; // nobody looks
  }

  /** Keeps the present async context for `call`. */
  await(call: (chunk: Chunk) => void): void {
    newPromise<Chunk>().then(call);
    this.begin = latestResolve();
  }
}

/**
 * A piece of a level's queue. Slots are granted in order, and the entries that
 * have one are called in order, each in its own async context. An entry that has
 * been withdrawn is passed over when its turn comes.
 */
export class Chunk extends ListNode<Chunk> {
  readonly #level: PriorityLevel;
  /** Entries that were called, or passed over, are not kept. */
  readonly #entries: (QueueEntry | undefined)[] = [];
  /** The first that may be waiting; the next to be called; the next without a resolver. */
  #nextToGrant = 0;
  #nextToCall = 0;
  #nextToReady = 0;
  /** How many have neither been called nor withdrawn. */
  #pending = 0;
  #call: "none" | "under way" = "none";
  readonly #gate = newPromise<Chunk>();
  #openGate: ((chunk: Chunk) => void) | undefined = latestResolve<Chunk>();

  constructor(level: PriorityLevel) {
    super();
    this.#level = level;
  }

  get isFull(): boolean {
    return this.#entries.length === CHUNK_LENGTH;
  }

  get isEmpty(): boolean {
    return this.#pending === 0;
  }

  push(entry: QueueEntry): void {
    entry.chunk = this;
    this.#pending++;
    this.#entries.push(entry);
    if (entry.isCalled) entry.answer = this.#gate.then(readyNext);
  }

  /** The first that waits. */
  peek(): QueueEntry | undefined {
    while (this.#nextToGrant < this.#entries.length) {
      const entry = this.#entries[this.#nextToGrant];
      if (entry?.status === "waiting") return entry;
      this.#nextToGrant++;
    }
  }

  /** To be told when an entry has its slots and is to be called. */
  granted(): void {
    this.#open();
    this.advance();
  }

  /** To be told, in its async context, when an entry can be called. */
  ready(entry: QueueEntry, resolver: Resolver): void {
    if (this.#toCall() === entry) this.callNext();
    else resolver.await(callNext);
  }

  /** To be told when the first entry may wait no more. */
  advance(): void {
    const begin = this.#toCall()?.resolver?.begin;
    if (begin === undefined) return;
    this.#call = "under way";
    begin(this);
  }

  /** To be told when an entry has what it wanted. */
  served(): void {
    this.#pending--;
    if (this.#pending === 0) this.#drained();
  }

  /** To be told when an entry wants nothing any more. */
  withdrawn(): void {
    this.#pending--;
    this.#open();
    if (this.#pending === 0) this.#drained("withdrawn");
    else this.advance();
  }

  /** Those that wait, and those that have their slots and have not been called. */
  *[Symbol.iterator](): Generator<QueueEntry> {
    for (let i = this.#nextToCall; i < this.#entries.length; i++) {
      const entry = this.#entries[i];
      if (entry !== undefined && entry.status !== "over") yield entry;
    }
  }

  /** Finds the entry that has its slots and nothing before it to be called. */
  #toCall(): QueueEntry | undefined {
    if (!this.#level.isFirst(this) || this.#call === "under way") return undefined;
    while (this.#entries[this.#nextToCall]?.status === "over") this.#pass();
    const entry = this.#entries[this.#nextToCall];
    return entry?.status === "granted" ? entry : undefined;
  }

  #pass(): void {
    this.#forget(this.#nextToCall++);
  }

  #open(): void {
    const open = this.#openGate;
    this.#openGate = undefined;
    open?.(this);
  }

  #drained(by?: "withdrawn"): void {
    if (by === "withdrawn" || this.isFull) this.#level.remove(this);
    else this.#level.drained();
  }

  /** Keeps no entry longer than it is needed: a handle keeps its chunk. */
  #forget(index: number): void {
    if (index < this.#nextToCall && index < this.#nextToReady) this.#entries[index] = undefined;
  }

  /** Called in the async context of each of the entries, one after the other. */
  readyNext(): Resolver {
    while (!this.#entries[this.#nextToReady]!.isCalled) this.#nextToReady++;
    const index = this.#nextToReady++;
    const entry = this.#entries[index]!;
    this.#forget(index);
    return entry.resolver = new Resolver(entry);
  }

  /** Called in the async context of the entry that is next. */
  callNext(): void {
    this.#call = "none";
    const entry = this.#entries[this.#nextToCall]!;
    this.#pass();
    entry.call();
    this.advance();
  }
}

// Not closures of a chunk: V8 drops what it has optimised for one when that chunk is gone.
const readyNext = (chunk: Chunk) => chunk.readyNext();
const callNext = (chunk: Chunk) => chunk.callNext();

/** The entries of one priority, first come, first served. */
export class PriorityLevel {
  readonly priority: number;
  /** Whether the queue looks for a waiting entry here. */
  isListed = false;
  readonly #chunks = new LinkedList<Chunk>();
  readonly #onEmpty: (level: PriorityLevel) => void;

  /** `onEmpty`: called when no entry is left that waits or is to be called. */
  constructor(priority: number, onEmpty: (level: PriorityLevel) => void) {
    this.priority = priority;
    this.#onEmpty = onEmpty;
  }

  /** How many chunks there are. */
  get length(): number {
    return this.#chunks.size;
  }

  isFirst(chunk: Chunk): boolean {
    return this.#chunks.head === chunk;
  }

  push(entry: QueueEntry): void {
    let chunk = this.#chunks.tail;
    if (chunk === undefined || chunk.isFull) {
      chunk = new Chunk(this);
      this.#chunks.push(chunk);
    }
    chunk.push(entry);
  }

  peek(): QueueEntry | undefined {
    for (let chunk = this.#chunks.head; chunk !== undefined; chunk = chunk.next) {
      const entry = chunk.peek();
      if (entry !== undefined) return entry;
    }
  }

  /** A chunk in which nothing is left. */
  remove(chunk: Chunk): void {
    this.#chunks.remove(chunk);
    this.#chunks.head?.advance();
    this.drained();
  }

  /** The last chunk may have nothing left in it. */
  drained(): void {
    const { head, tail } = this.#chunks;
    if (head === undefined || head === tail && head.isEmpty) this.#onEmpty(this);
  }

  *[Symbol.iterator](): Generator<QueueEntry> {
    for (const chunk of this.#chunks) yield* chunk;
  }
}

/** The entries of a pool: the highest priority first, and first come, first served within it. */
export class AdmissionQueue {
  /** How many wait. */
  size = 0;
  readonly #ordinary = new PriorityLevel(0, () => {});
  /** The other levels, as long as they have entries. */
  readonly #levels = new Map<number, PriorityLevel>();
  /** The levels in which entries may wait: a binary heap, the highest priority on top. */
  readonly #heap: PriorityLevel[] = [];
  readonly #forget = (level: PriorityLevel) => {
    if (this.#levels.get(level.priority) === level) this.#levels.delete(level.priority);
  };

  push(entry: QueueEntry, priority: number): void {
    const level = priority === 0 ? this.#ordinary : this.#levelOf(priority);
    level.push(entry);
    this.size++;
    if (!level.isListed) this.#list(level);
  }

  /** The entry that is next. */
  peek(): QueueEntry | undefined {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      const entry = top.peek();
      if (entry !== undefined) return entry;
      this.#unlistTop();
    }
  }

  /** To be told when an entry waits no more, granted or not. */
  left(): void {
    this.size--;
  }

  *[Symbol.iterator](): Generator<QueueEntry> {
    const levels = [this.#ordinary, ...this.#levels.values()];
    for (const level of levels.sort((a, b) => b.priority - a.priority)) yield* level;
  }

  #levelOf(priority: number): PriorityLevel {
    let level = this.#levels.get(priority);
    if (level === undefined) {
      level = new PriorityLevel(priority, this.#forget);
      this.#levels.set(priority, level);
    }
    return level;
  }

  #list(level: PriorityLevel): void {
    level.isListed = true;
    const heap = this.#heap;
    let index = heap.length;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (heap[parent]!.priority >= level.priority) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = level;
  }

  #unlistTop(): void {
    const heap = this.#heap;
    heap[0]!.isListed = false;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.priority > heap[child]!.priority) child++;
      if (heap[child]!.priority <= last.priority) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}
