import type { Clock } from "../internal/clock.ts";
import { type HeapMember, IndexedHeap } from "../internal/indexed_heap.ts";
import { SharedTimer } from "../internal/shared_timer.ts";
import type { Capacity, CapacityUser } from "./_capacity.ts";
import { PoolTimers } from "./_timers.ts";
import type { Waiter } from "./_wait_queue.ts";
import type { ExhaustedLimit } from "./errors.ts";
import type { SharedFigures } from "./stats.ts";

// The cost of fairness across keys: see `SharedCapacity.patience`.
const LEAST_PATIENCE_MS = 10;
const DIALS_OF_PATIENCE = 8;

/** The share of the latest dial in the mean. */
const SMOOTHING = 0.2;

/**
 * The capacity that many keys share. A key whose waiters lack room has a claim on
 * it. Claims are served by priority, then by the wait of their first waiter. When all room is taken, the resource that has been idle longest is
 * closed, of whichever key.
 *
 * To serve a waiter of the same key costs nothing, a change of key costs a dial.
 * So a resource stays with its key until the first waiter of another key has
 * waited for `patience`, and for one mean dial at least.
 */
export class SharedCapacity {
  readonly #clock: Clock;
  readonly #claims = new IndexedHeap<Claim>((a, b) => a.rank < b.rank);
  /** Keys with idle resources. */
  readonly #idle = new IndexedHeap<KeyCapacity>((a, b) => a.order < b.order);
  /** Keys with waiters that only wait if room is being made for them. */
  readonly #stranded = new Set<KeyCapacity>();
  /** Fires when an idle resource may be closed that could not be before. */
  readonly #timer: SharedTimer;
  readonly timers: PoolTimers;
  /** Is called with what tells a key apart whenever that may have neither resources nor waiters. */
  readonly onEmpty: (id: unknown) => void;
  maxSize: number;
  /** Open slots over all keys, in any state. */
  size = 0;
  /** Those among them that are being closed. */
  closing = 0;
  /** The number of resources over all claims without room. */
  wanted = 0;
  #meanDial = 0;
  #state: "resting" | "arranging" | "closed" = "resting";

  constructor(maxSize: number, clock: Clock, onEmpty: (id: unknown) => void) {
    this.maxSize = maxSize;
    this.#clock = clock;
    this.timers = new PoolTimers(clock);
    this.onEmpty = onEmpty;
    this.#timer = new SharedTimer(clock.now, () => this.arrange(), true);
  }

  get available(): number {
    return this.#state === "closed" ? 0 : Math.max(0, this.maxSize - this.size);
  }

  /** Whether more resources are open than allowed, not counting those being closed. */
  get isOverfull(): boolean {
    return this.size - this.closing > this.maxSize;
  }

  /** Whether the coming room is enough for all claims. */
  get isEnoughComing(): boolean {
    return this.wanted <= this.maxSize - this.size + this.closing;
  }

  /** How long a waiter waits at most before it gets a resource of another key that has waiters too, in milliseconds. */
  get patience(): number {
    return Math.max(LEAST_PATIENCE_MS, DIALS_OF_PATIENCE * this.#meanDial);
  }

  /** Whether this key may take room now, because no other claim comes first. */
  mayTake(key: KeyCapacity, waiter: Waiter | undefined): boolean {
    if (this.available === 0) return false;
    const rival = this.#firstRivalOf(key);
    return rival === undefined || (waiter !== undefined && waiter.rank < rival.rank);
  }

  /** Whether a resource of this key goes to a claim of another key rather than to this waiter. */
  mustYieldBefore(key: KeyCapacity, waiter: Waiter | undefined, openedAt: number): boolean {
    if (this.#claims.size === 0 || this.isEnoughComing) return false;
    const rival = this.#firstRivalOf(key)?.waiter;
    if (rival === undefined) return false;
    if (waiter !== undefined) {
      const difference = rival.request.priority - waiter.request.priority;
      if (difference !== 0) return difference > 0;
      if (waiter.rank < rival.rank || this.#isNew(openedAt, key)) return false;
    }
    return this.#hasWaitedEnough(rival, key);
  }

  claim(claim: Claim, waiter: Waiter): void {
    claim.rank = waiter.rank;
    this.#claims.put(claim);
  }

  withdraw(claim: Claim): void {
    this.#claims.delete(claim);
  }

  /** A key has idle resources. */
  rest(key: KeyCapacity, order: number): void {
    if (this.#idle.has(key)) return;
    key.order = order;
    this.#idle.put(key);
  }

  /** Whether a key has waiters that only wait if room is being made for them. */
  strand(key: KeyCapacity, hasStranded: boolean): void {
    if (hasStranded) this.#stranded.add(key);
    else if (this.#stranded.size > 0) this.#stranded.delete(key);
  }

  /** A key is dropped. */
  drop(key: KeyCapacity): void {
    this.#idle.delete(key);
    this.#stranded.delete(key);
  }

  dialled(duration: number): void {
    const mean = this.#meanDial;
    this.#meanDial = mean === 0 ? duration : mean + SMOOTHING * (duration - mean);
  }

  resize(maxSize: number): void {
    this.maxSize = maxSize;
    this.arrange();
  }

  /** Gives no more room. */
  close(): void {
    this.#state = "closed";
    this.#timer.clear();
    this.timers.close();
  }

  /** Gives the free room to the claims, and makes room for the others. */
  arrange(): void {
    if (this.#state !== "resting" || !this.#isContended) return; // the outer call goes on
    this.#state = "arranging";
    while (this.#grantNext() || this.#evictNext() || this.#dismissStranded());
    if (this.#claims.size === 0) this.#timer.clear(); // which would keep the process alive
    if (this.#state === "arranging") this.#state = "resting";
  }

  /** Whether a key lacks room or has a resource too many, or the timer must be cleared. */
  get #isContended(): boolean {
    return this.#claims.size > 0 || this.#stranded.size > 0 || this.isOverfull ||
      this.#timer.due < Infinity;
  }

  #grantNext(): boolean {
    const first = this.#claims.top;
    if (first === undefined || this.available === 0) return false;
    const { key } = first;
    this.#claims.delete(first);
    key.user.proceed(); // if it still lacks room, it claims again
    return true;
  }

  #evictNext(): boolean {
    const isShort = this.isOverfull || !this.isEnoughComing && this.available === 0;
    const oldest = isShort ? this.#oldestIdle() : undefined;
    if (oldest === undefined) return false;
    if (this.isOverfull) {
      oldest.user.evict();
      return true;
    }
    const rival = this.#firstRivalOf(oldest)?.waiter;
    const isFreshWanted = oldest.user.firstWaiter?.request.kind === "fresh";
    if (rival === undefined && !isFreshWanted) return false; // its own key waits for resume()
    const left = this.#protectionLeft(oldest, rival);
    if (left > 0) {
      const now = this.#clock.now();
      this.#timer.fireBy(now + left, now);
      return false;
    }
    oldest.user.evict();
    return true;
  }

  /** Rejects non-waiting waiters whose room went to others. */
  #dismissStranded(): boolean {
    const { size } = this.#stranded;
    if (size === 0 || this.isEnoughComing) return false;
    for (const key of [...this.#stranded]) key.user.proceed();
    return this.#stranded.size < size;
  }

  /** The key with the longest-idle resource. */
  #oldestIdle(): KeyCapacity | undefined {
    for (let top = this.#idle.top; top !== undefined; top = this.#idle.top) {
      const order = top.user.oldestIdle?.idleOrder;
      if (order === top.order) return top;
      if (order === undefined) this.#idle.delete(top);
      else {
        top.order = order;
        this.#idle.put(top);
      }
    }
  }

  /**
   * For how much longer an idle resource is kept for its own key: for one mean dial after its
   * use, the cost of opening it again, unless a claim has waited for too long.
   */
  #protectionLeft(oldest: KeyCapacity, rival: Waiter | undefined): number {
    if (rival === undefined || !rival.request.mayWait) return 0;
    const idle = this.#clock.wall() - oldest.user.oldestIdle!.idleSince;
    const waited = this.#clock.now() - rival.since;
    return Math.ceil(Math.min(this.#meanDial - idle, this.patience * oldest.weight - waited));
  }

  /**
   * Whether a resource has not been of use for as long as its dial took. When all
   * callers have waited for `patience`, each request would cost a dial otherwise.
   */
  #isNew(openedAt: number, key: KeyCapacity): boolean {
    return this.#clock.wall() - openedAt < this.#meanDial * key.weight;
  }

  #hasWaitedEnough(rival: Waiter, key: KeyCapacity): boolean {
    if (!rival.request.mayWait) return true;
    return this.#clock.now() - rival.since >= this.patience * key.weight;
  }

  /** The first claim of another key, with its present rank. */
  #firstRivalOf(key: KeyCapacity): Claim | undefined {
    for (;;) {
      const { top } = this.#claims;
      const rival = top?.key === key ? this.#claims.second : top;
      if (rival === undefined) return undefined;
      const { waiter } = rival;
      if (waiter !== undefined && waiter.rank === rival.rank) return rival;
      if (waiter === undefined) this.#claims.delete(rival);
      else {
        rival.rank = waiter.rank;
        this.#claims.put(rival);
      }
    }
  }
}

/** A key whose waiters lack room. */
class Claim implements HeapMember {
  readonly key: KeyCapacity;
  heapIndex = -1;
  /** The rank of its first waiter, when that was last looked at. */
  rank = 0;

  constructor(key: KeyCapacity) {
    this.key = key;
  }

  get waiter(): Waiter | undefined {
    return this.key.user.firstWaiter;
  }
}

/** One key's part of a shared capacity, with a limit of its own. */
export class KeyCapacity implements Capacity, HeapMember {
  readonly #shared: SharedCapacity;
  readonly #id: unknown;
  /** Made when the key first lacks room. */
  #claim: Claim | undefined;
  /** Its place among the keys with idle resources. */
  heapIndex = -1;
  /** The place of its oldest idle resource, when that was last looked at. */
  order = 0;
  maxSize: number;
  /** How many times longer than others it keeps a resource while it has waiters. */
  weight: number;
  user!: CapacityUser;
  #size = 0;
  #closing = 0;
  #wanted = 0;

  /** `id` is what tells the key apart. */
  constructor(shared: SharedCapacity, id: unknown, maxSize: number, weight: number) {
    this.#shared = shared;
    this.#id = id;
    this.maxSize = maxSize;
    this.weight = weight;
  }

  get #ownRoom(): number {
    return Math.max(0, this.maxSize - this.#size);
  }

  get room(): number {
    return Math.min(this.#ownRoom, this.#shared.available);
  }

  get limit(): ExhaustedLimit {
    return this.#ownRoom === 0 ? "maxPerKey" : "maxSize";
  }

  get shared(): SharedFigures {
    const { size, maxSize } = this.#shared;
    return { size, maxSize };
  }

  get timers(): PoolTimers {
    return this.#shared.timers;
  }

  get coming(): number {
    return this.#wanted > 0 && this.#shared.isEnoughComing ? this.#wanted : 0;
  }

  serve(user: CapacityUser): void {
    this.user = user;
  }

  take(waiter: Waiter | undefined): boolean {
    if (this.#ownRoom === 0) return false;
    if (!this.#shared.mayTake(this, waiter)) {
      if (waiter !== undefined) this.#shared.claim(this.#claim ??= new Claim(this), waiter);
      return false;
    }
    this.#size++;
    this.#shared.size++;
    return true;
  }

  give(): void {
    this.#size--;
    this.#shared.size--;
  }

  isExceededBy(open: number): boolean {
    return open > this.maxSize || this.#shared.isOverfull;
  }

  mustYieldBefore(waiter: Waiter | undefined, openedAt: number): boolean {
    return this.#shared.mustYieldBefore(this, waiter, openedAt);
  }

  dialled(duration: number): void {
    this.#shared.dialled(duration);
  }

  /** Reports changes, which may affect other keys. */
  review(): void {
    const { user } = this;
    const { closingSlots } = user;
    this.#shared.closing += closingSlots - this.#closing;
    this.#closing = closingSlots;
    this.#reviewClaim();
    const { oldestIdle } = user;
    this.#shared.strand(this, user.hasStranded);
    if (oldestIdle !== undefined) this.#shared.rest(this, oldestIdle.idleOrder);
    else if (user.openSlots === 0) this.#shared.onEmpty(this.#id);
    this.#shared.arrange();
  }

  /** Changes the limit of the key. */
  resize(maxSize: number): void {
    this.maxSize = maxSize;
  }

  /** A shared capacity is closed as a whole. */
  close(): void {}

  /** The key is dropped. */
  drop(): void {
    if (this.#claim !== undefined) this.#shared.withdraw(this.#claim);
    this.#shared.drop(this);
  }

  #reviewClaim(): void {
    const { user } = this;
    const claim = this.#claim;
    const isClaiming = claim !== undefined && claim.heapIndex >= 0;
    const wanted = isClaiming ? Math.min(user.demand, this.#ownRoom) : 0;
    this.#shared.wanted += wanted - this.#wanted;
    this.#wanted = wanted;
    if (isClaiming && wanted === 0) this.#shared.withdraw(claim);
  }
}
