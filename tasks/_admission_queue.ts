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
//    costs next to nothing, which is why the entries are in chunks.
//
// In a queue of up to a thousand, where what waits may well be larger, an entry keeps its context by a
// promise of its own from the beginning: that is faster by a sixth.
const CHUNK_LENGTH = 256;
const MOST_ALONE = 1_000;

/** An entry that waits for a slot: one task, or a job with work for one more item runner. */
export abstract class QueueEntry {
  /** Its chunk. */
  chunk!: Chunk;
  /** The promise of its outcome, created when it is queued. */
  answer!: Promise<unknown>;
  /** Set from the moment when it can be called until its answer is settled. */
  resolver: Resolver | undefined = undefined;
  /** Whether it keeps its async context by its own promise from the beginning. */
  isAlone = false;
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
  /** Calls the entry in its async context. Undefined as long as that is not possible. */
  begin: ((entry: QueueEntry) => void) | undefined = undefined;
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

  /** Keeps the present async context for `call`. */
  await(): Promise<unknown> {
    const answer = newPromise<QueueEntry>().then(begin);
    this.begin = latestResolve();
    return answer;
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
    entry.chunk = this;
    this.#pending++;
    if (this.#entries === NO_ENTRIES) this.#entries = Array.of(entry); // one that has grown takes more
    else this.#entries.push(entry);
    if (!entry.isCalled) return;
    if (this.queue.size > MOST_ALONE) {
      entry.answer = this.#gate.then(readyNext);
    } else {
      entry.isAlone = true;
      entry.resolver = new Resolver(entry);
      entry.answer = entry.resolver.await();
    }
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
    if (entry.isAlone) entry.resolver?.begin?.(entry);
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
    if (index < this.#nextToReady || this.#entries[index]?.isAlone) {
      this.#entries[index] = undefined;
    }
  }

  /** Called in the async context of each of the entries, one after the other. */
  readyNext(): Resolver {
    let entry = this.#entries[this.#nextToReady];
    while (entry === undefined || !entry.isCalled || entry.isAlone) {
      entry = this.#entries[++this.#nextToReady];
    }
    this.#forget(this.#nextToReady++);
    return entry.resolver = new Resolver(entry);
  }
}

// Not closures of a chunk: V8 drops what it has optimised for one when that chunk is gone.
const readyNext = (chunk: Chunk) => chunk.readyNext();

/** Called in the entry's async context. What it returns settles the answer of an entry that is alone. */
const begin = (entry: QueueEntry) => {
  entry.chunk.queue.begin(entry);
  return entry.isAlone ? entry.resolver : undefined;
};

/** An entry with a priority, and its number among them. */
interface Prioritized {
  readonly entry: QueueEntry;
  readonly priority: number;
  readonly number: number;
}

function goesBefore(one: Prioritized, other: Prioritized): boolean {
  if (one.priority !== other.priority) return one.priority > other.priority;
  return one.number < other.number;
}

// Where there are more priorities than this, entries of one hardly follow each other.
const MOST_OPEN = 32;
// A shorter heap is not worth compacting.
const SHORTEST_TIDIED = 64;

/**
 * The entries of a pool: by priority, then by arrival. Slots are granted in that order, and
 * granted entries are called in the order of the grants, each in its own async context.
 */
export class AdmissionQueue {
  /** How many wait. */
  size = 0;
  /** The entries of priority 0. */
  readonly #ordinary = new LinkedList<Chunk>();
  /** Those of other priorities that may wait: a binary heap. */
  #heap: Prioritized[] = [];
  /** The chunks to which new entries are added, by priority. */
  readonly #open = new Map<number, Chunk>();
  #lastNumber = 0;
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
    let chunk = this.#open.get(priority);
    if (chunk === undefined || chunk.isFull) {
      chunk = new Chunk(this, undefined);
      if (this.#open.size === MOST_OPEN) this.#open.clear();
      this.#open.set(priority, chunk);
    }
    chunk.push(entry);
    this.#prioritize({ entry, priority, number: ++this.#lastNumber });
  }

  /** The next entry. */
  peek(): QueueEntry | undefined {
    while (this.#heap.length > 0 && this.#heap[0]!.entry.status !== "waiting") this.#removeTop();
    const top = this.#heap[0];
    if (top !== undefined && top.priority > 0) return top.entry;
    for (let chunk = this.#ordinary.head; chunk !== undefined; chunk = chunk.next) {
      const entry = chunk.peek();
      if (entry !== undefined) return entry;
    }
    return top?.entry;
  }

  /** Must be called when an entry no longer waits, granted or not. */
  left(): void {
    this.size--;
    const { length } = this.#heap;
    if (length > SHORTEST_TIDIED && this.size < length / 2) this.#tidy();
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
    if (entry.isAlone) return;
    if (this.#calling === undefined && this.#nextToCall() === entry) this.#callNext();
    else resolver.await();
  }

  /** Must be called when the first granted entry may have changed. */
  advance(): void {
    if (this.#calling !== undefined) return;
    const entry = this.#nextToCall();
    if (entry?.resolver?.begin === undefined) return;
    this.#calling = entry;
    entry.resolver.begin(entry);
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
    const heap = this.#heap.toSorted((one, other) => goesBefore(one, other) ? -1 : 1);
    const isFirst = ({ priority }: Prioritized) => priority > 0;
    yield* waiting(heap.filter(isFirst).map(({ entry }) => entry));
    for (const chunk of this.#ordinary) yield* waiting(chunk);
    yield* waiting(heap.filter((each) => !isFirst(each)).map(({ entry }) => entry));
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

  #prioritize(added: Prioritized): void {
    const heap = this.#heap;
    let index = heap.length;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (goesBefore(heap[parent]!, added)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = added;
  }

  #removeTop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && goesBefore(heap[child + 1]!, heap[child]!)) child++;
      if (goesBefore(last, heap[child]!)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }

  /** Drops the entries that no longer wait. */
  #tidy(): void {
    const left = this.#heap.filter(({ entry }) => entry.status === "waiting");
    this.#heap = [];
    for (const each of left) this.#prioritize(each);
  }
}

function* waiting(entries: Iterable<QueueEntry>): Generator<QueueEntry> {
  for (const entry of entries) if (entry.status === "waiting") yield entry;
}
