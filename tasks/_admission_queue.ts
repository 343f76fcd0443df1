import { LinkedList, ListNode } from "../internal/linked_list.ts";
import { PriorityQueue } from "../internal/priority_queue.ts";
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
//    costs next to nothing, which is why the entries are in chunks.
//
// In a queue of up to a thousand, where what waits may well be larger, an entry keeps its context by a
// promise of its own from the beginning: that is faster by a sixth. So does one that is the first of its
// priority: with a chunk for each of many priorities, a task cost twice as much.
const CHUNK_LENGTH = 256;
const MOST_ALONE = 1_000;

/** An entry that waits for a slot: one task, or a job with work for one more item runner. */
export abstract class QueueEntry {
  /** Its chunk. */
  chunk!: Chunk;
  /** The promise of its outcome, created when it is queued. */
  answer!: Promise<unknown>;
  /** There from the moment that its answer can be settled until it is. */
  resolver: Resolver | undefined = undefined;
  /** Has it called in its async context, if it keeps that alone. */
  wake: ((entry: QueueEntry) => void) | undefined = undefined;
  /** Waiting for a slot; granted one and still to be called; or neither any more. */
  abstract readonly status: "waiting" | "granted" | "over";
  /** Whether it must be called in the async context in which it was queued. */
  abstract readonly isCalled: boolean;
  /** How many slots it takes. */
  abstract readonly weight: number;
  /** The slots are the entry's from here on, until it leaves. */
  abstract enter(): void;
  /** Its answer can be settled; settles it if the outcome is known already. */
  abstract onReady(resolver: Resolver): void;
  /** Runs it, or does nothing if it was withdrawn meanwhile. */
  abstract call(): void;
  /** It can never be granted a slot. */
  abstract refuse(reason: unknown): void;
}

/** The functions that settle an entry's answer; see step 2 above. */
export class Resolver implements PromiseLike<unknown> {
  resolve: ((value: unknown) => void) | undefined = undefined;
  reject: ((reason: unknown) => void) | undefined = undefined;
  /** Has the entry called in its async context, if its turn had not come. Not the entry's: that may be old. */
  wake: ((entry: QueueEntry) => void) | undefined = undefined;
  readonly #entry: QueueEntry;

  constructor(entry: QueueEntry) {
    this.#entry = entry;
  }

  then(resolve: unknown, reject: unknown): Promise<never> {
    this.resolve = resolve as (value: unknown) => void;
    this.reject = reject as (reason: unknown) => void;
    this.#entry.onReady(this);
    return undefined as never; // unused
  }
}

// No literals for arrays of entries: V8 would soon allocate them among the old objects, and keep
// their members until it collects these.
const NO_ENTRIES: (QueueEntry | undefined)[] = [];

/** Entries of one priority, in order of arrival. Withdrawn ones are skipped. */
class Chunk extends ListNode<Chunk> {
  readonly queue: AdmissionQueue;
  readonly #list: LinkedList<Chunk> | undefined;
  /** Finished entries are not kept. */
  #entries: (QueueEntry | undefined)[] = NO_ENTRIES;
  /** The first that may be waiting, if slots are granted in this order; the first without a resolver. */
  #nextToGrant: number;
  #nextToReady = 0;
  /** How many have neither been called nor withdrawn. */
  #pending = 0;
  readonly #gate = newPromise<Chunk>();
  #openGate: ((chunk: Chunk) => void) | undefined = latestResolve<Chunk>();

  /** `list`: the chunks that slots are granted to in their order, if it is one of them. */
  constructor(queue: AdmissionQueue, list: LinkedList<Chunk> | undefined) {
    super();
    this.queue = queue;
    this.#list = list;
    this.#nextToGrant = list === undefined ? CHUNK_LENGTH : 0;
  }

  get isFull(): boolean {
    return this.#entries.length === CHUNK_LENGTH;
  }

  push(entry: QueueEntry): void {
    this.add(entry);
    if (this.#entries === NO_ENTRIES) this.#entries = Array.of(entry); // one that has grown takes more
    else this.#entries.push(entry);
    if (!entry.isCalled) return;
    if (this.queue.size > MOST_ALONE) entry.answer = this.#gate.then(readyNext);
    else keepAlone(entry);
  }

  /** Adds one that keeps its context by itself and is found by others. */
  pushSingle(entry: QueueEntry): void {
    this.add(entry);
    if (entry.isCalled) keepAlone(entry);
  }

  add(entry: QueueEntry): void {
    entry.chunk = this;
    this.#pending++;
  }

  /** The first waiting entry. */
  peek(): QueueEntry | undefined {
    while (this.#nextToGrant < this.#entries.length) {
      const entry = this.#entries[this.#nextToGrant];
      if (entry?.status === "waiting") return entry;
      this.#forget(this.#nextToGrant++);
    }
  }

  /** Must be called when an entry has its slots and is to be called. */
  granted(entry: QueueEntry): void {
    this.#open();
    this.queue.granted(entry);
  }

  /** Must be called when an entry has been called. */
  served(): void {
    this.#pending--;
    if (this.#pending === 0 && this.isFull) this.#list?.remove(this);
  }

  /** Must be called when an entry is finished. */
  withdrawn(entry: QueueEntry): void {
    this.#pending--;
    entry.wake?.(entry);
    this.#open();
    if (this.#pending === 0) this.#list?.remove(this);
    this.queue.advance();
  }

  *[Symbol.iterator](): Generator<QueueEntry> {
    for (const entry of this.#entries) if (entry !== undefined) yield entry;
  }

  #open(): void {
    const open = this.#openGate;
    this.#openGate = undefined;
    open?.(this);
  }

  /** Drops entries as soon as they are not needed, since a handle keeps its chunk. */
  #forget(index: number): void {
    if (index >= this.#nextToGrant) return;
    if (index < this.#nextToReady || this.#entries[index]?.wake !== undefined) {
      this.#entries[index] = undefined;
    }
  }

  /** Called in the async context of each of the entries, one after the other. */
  readyNext(): Resolver {
    let entry = this.#entries[this.#nextToReady];
    while (entry === undefined || !entry.isCalled || entry.wake !== undefined) {
      entry = this.#entries[++this.#nextToReady];
    }
    this.#forget(this.#nextToReady++);
    return entry.resolver = new Resolver(entry);
  }
}

// Not closures of a chunk: V8 drops what it has optimised for one when that chunk is gone.
const readyNext = (chunk: Chunk) => chunk.readyNext();

/** Has an entry keep the present async context by a promise of its own from now on. */
function keepAlone(entry: QueueEntry): void {
  entry.answer = newPromise<QueueEntry>().then(beginAlone);
  entry.wake = latestResolve();
}

const begin = (entry: QueueEntry) => entry.chunk.queue.begin(entry);

/** What it returns settles the answer. */
const beginAlone = (entry: QueueEntry) => {
  begin(entry);
  return entry.resolver = new Resolver(entry);
};

// Where there are more priorities than this, entries of one hardly follow each other.
const MOST_OPEN = 32;
// A shorter queue is not worth compacting.
const SHORTEST_COMPACTED = 64;

/**
 * The entries of a pool: by priority, then by arrival. Slots are granted in that order, and
 * granted entries are called in the order of the grants, each in its own async context.
 */
export class AdmissionQueue {
  /** How many wait. */
  size = 0;
  /** The entries of priority 0. */
  readonly #ordinary = new LinkedList<Chunk>();
  /** Those of other priorities; some of them may have been withdrawn. */
  #prioritized: PriorityQueue<QueueEntry> | undefined = undefined;
  /** The chunk of those that keep their context alone: in a long queue, the first of each priority. */
  #singles: Chunk | undefined = undefined;
  /** The chunks that others of the same priority join. */
  readonly #open = new Map<number, Chunk>();
  /** Entries that have their slots and are to be called: a queue, and where its head is. */
  readonly #toCall: (QueueEntry | undefined)[] = NO_ENTRIES.slice();
  #head = 0;
  /** The entry that is about to be called. */
  #calling: QueueEntry | undefined = undefined;

  /** How many chunks of priority 0 there are. */
  get length(): number {
    return this.#ordinary.size;
  }

  push(entry: QueueEntry, priority: number): void {
    this.size++;
    if (priority === 0) return this.#pushOrdinary(entry);
    const chunk = this.#chunkFor(entry, priority);
    if (chunk === this.#singles) chunk.pushSingle(entry);
    else chunk.push(entry);
    this.#prioritized ??= new PriorityQueue();
    this.#prioritized.push(entry, priority);
  }

  /** The next entry. */
  peek(): QueueEntry | undefined {
    const queue = this.#prioritized;
    while (queue?.top !== undefined && queue.top.status !== "waiting") queue.pop();
    const top = queue?.top;
    if (top !== undefined && queue!.topPriority > 0) return top;
    for (let chunk = this.#ordinary.head; chunk !== undefined; chunk = chunk.next) {
      const entry = chunk.peek();
      if (entry !== undefined) return entry;
    }
    return top;
  }

  /** Must be called when an entry no longer waits, granted or not. */
  left(): void {
    this.size--;
    const capacity = this.#prioritized?.capacity ?? 0;
    if (capacity > SHORTEST_COMPACTED && this.size < capacity / 4) {
      this.#prioritized!.compact((entry) => entry.status === "waiting");
    }
  }

  /** Must be called when an entry has its slots and is to be called. */
  granted(entry: QueueEntry): void {
    if (this.#head >= CHUNK_LENGTH) {
      this.#toCall.splice(0, this.#head);
      this.#head = 0;
    }
    this.#toCall.push(entry);
    this.advance();
  }

  /** Must be called in its async context when an entry can be called. */
  ready(entry: QueueEntry, resolver: Resolver): void {
    if (entry.wake !== undefined) return;
    if (this.#calling === undefined && this.#nextToCall() === entry) return this.#callNext();
    newPromise<QueueEntry>().then(begin);
    resolver.wake = latestResolve();
  }

  /** Must be called when the first granted entry may have changed. */
  advance(): void {
    if (this.#calling !== undefined) return;
    const entry = this.#nextToCall();
    const wake = entry?.wake ?? entry?.resolver?.wake;
    if (wake === undefined) return;
    this.#calling = entry;
    wake(entry!);
  }

  /** Calls the entry, in its async context, if its turn has come. */
  begin(entry: QueueEntry): void {
    if (this.#calling !== entry) return;
    this.#calling = undefined;
    this.#callNext();
  }

  #callNext(): void {
    // It may have been withdrawn meanwhile, and does nothing then, since this is the context of no other entry.
    const entry = this.#toCall[this.#head]!;
    this.#toCall[this.#head++] = undefined;
    entry.call();
    this.advance();
  }

  /** The granted entries that have not been called, and the waiting ones. */
  *[Symbol.iterator](): Generator<QueueEntry> {
    for (const entry of this.#toCall.slice(this.#head)) {
      if (entry?.status === "granted") yield entry;
    }
    const prioritized = this.#prioritized?.sorted() ?? [];
    const first = prioritized.filter(({ priority }) => priority > 0);
    const last = prioritized.slice(first.length);
    yield* waiting(first.map(({ item }) => item));
    for (const chunk of this.#ordinary) yield* waiting(chunk);
    yield* waiting(last.map(({ item }) => item));
  }

  #chunkFor(entry: QueueEntry, priority: number): Chunk {
    const singles = this.#singles ??= new Chunk(this, undefined);
    if (!entry.isCalled || this.size <= MOST_ALONE) return singles;
    const open = this.#open.get(priority);
    if (open !== undefined && open !== singles && !open.isFull) return open;
    if (this.#open.size === MOST_OPEN) this.#open.clear();
    const chunk = open === undefined ? singles : new Chunk(this, undefined);
    this.#open.set(priority, chunk);
    return chunk;
  }

  #pushOrdinary(entry: QueueEntry): void {
    let chunk = this.#ordinary.tail;
    if (chunk === undefined || chunk.isFull) {
      chunk = new Chunk(this, this.#ordinary);
      this.#ordinary.push(chunk);
    }
    chunk.push(entry);
  }

  #nextToCall(): QueueEntry | undefined {
    while (this.#head < this.#toCall.length) {
      const entry = this.#toCall[this.#head]!;
      if (entry.status === "granted") return entry;
      this.#toCall[this.#head++] = undefined;
    }
    this.#toCall.length = this.#head = 0;
  }
}

function* waiting(entries: Iterable<QueueEntry>): Generator<QueueEntry> {
  for (const entry of entries) if (entry.status === "waiting") yield entry;
}
