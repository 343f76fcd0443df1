import { LinkedList } from "../internal/linked_list.ts";
import type { Share } from "./_share.ts";
import { type Permit, Semaphore } from "./semaphore.ts";

/**
 * The room that several pools have together. Those that lack some stand in line
 * for it, by the number of their first caller, which is one sequence over all
 * pools: so whoever has waited longest gets what becomes free. When all is
 * taken, the resource that has been idle longest is closed, wherever it is.
 */
export class SharedCapacity {
  readonly #permits: Semaphore;
  readonly #claims = new LinkedList<Share>();
  readonly #resting = new Set<Share>();
  readonly #hurried = new Set<Share>();
  /** How many resources are open at this moment, in whatever state. */
  open = 0;
  #maxSize: number;
  /** The same as far as the shares have reported it, as with the figures below. */
  #size = 0;
  #closing = 0;
  #wanted = 0;
  #state: "resting" | "arranging" = "resting";

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
    this.#permits = new Semaphore(maxSize);
  }

  get maxSize(): number {
    return this.#maxSize;
  }

  get available(): number {
    return this.#permits.available;
  }

  /** Whether more resources are open than should be, those being closed not counted. */
  get isOverfull(): boolean {
    return this.#size - this.#closing > this.#maxSize;
  }

  /** How much room there will be when all is closed that is to be: less than none, if there is too much open. */
  get #comingRoom(): number {
    return this.#maxSize - this.#size + this.#closing;
  }

  /** Whether that is enough for the waiting caller of that number, and for all who came before. */
  isRoomComingFor(number: number): boolean {
    let room = this.#comingRoom;
    for (let claim = this.#claims.head; claim !== undefined && room > 0; claim = claim.next) {
      if (claim.number >= number) break;
      room -= claim.wantedBefore(number);
    }
    return room > 0;
  }

  tryAcquire(share: Share, number: number): Permit | undefined {
    const rival = this.#firstRivalOf(share);
    if (rival !== undefined && rival.number < number) return undefined;
    return this.#permits.tryAcquire();
  }

  /** Whether others want more room, for callers who came before the one of that number, than is being made. */
  isOwedBefore(share: Share, number: number): boolean {
    let wanted = 0;
    for (let claim = this.#claims.head; claim !== undefined; claim = claim.next) {
      if (claim.number >= number) return false;
      if (claim !== share) wanted += claim.wantedBefore(number);
      if (wanted > this.#closing) return true;
    }
    return false;
  }

  resize(maxSize: number): void {
    this.#maxSize = maxSize;
    this.#permits.resize(maxSize);
    this.arrange();
  }

  /** Gives no more room to anybody. */
  close(): void {
    this.#permits.resize(0);
  }

  /** A share reports how much its figures have changed. */
  count(size: number, closing: number, wanted: number): void {
    this.#size += size;
    this.#closing += closing;
    this.#wanted += wanted;
  }

  /** A share reports whether it has idle resources. */
  rest(share: Share, isResting: boolean): void {
    if (isResting) this.#resting.add(share);
    else this.#resting.delete(share);
  }

  /** A share reports whether it has callers who will not wait unless room is being made for them. */
  hurry(share: Share, isHurried: boolean): void {
    if (isHurried) this.#hurried.add(share);
    else if (this.#hurried.size > 0) this.#hurried.delete(share);
  }

  /** Puts a share in line: mostly at one of the ends. */
  enter(share: Share): void {
    let successor = this.#claims.head;
    if (successor !== undefined && successor.number < share.number) {
      let predecessor = this.#claims.tail!;
      while (predecessor.number > share.number) predecessor = predecessor.prev!;
      successor = predecessor.next;
    }
    this.#claims.insert(share, successor);
  }

  leave(share: Share): void {
    this.#claims.remove(share);
  }

  /** Gives the room that there is to those who wait for it, and has more made for the others. */
  arrange(): void {
    if (this.#state === "arranging") return; // the outer call goes on
    this.#state = "arranging";
    while (this.#grantNext() || this.#evictNext() || this.#dismissNext());
    this.#state = "resting";
  }

  #grantNext(): boolean {
    const first = this.#claims.head;
    if (first === undefined || this.available === 0) return false;
    const { number } = first;
    first.pool.proceed();
    return this.#claims.head !== first || first.number !== number;
  }

  #evictNext(): boolean {
    const isShort = this.isOverfull || this.#comingRoom < this.#wanted && this.available === 0;
    const share = isShort ? this.#longestResting() : undefined;
    share?.pool.evict();
    return share !== undefined;
  }

  /** Has those turned away whom the room that was being made for them has escaped. */
  #dismissNext(): boolean {
    const { size } = this.#hurried;
    if (size === 0) return false;
    for (const share of [...this.#hurried]) share.pool.proceed();
    return this.#hurried.size < size;
  }

  /** Room is made seldom, and costs a dial: to search then is cheaper than to keep an order always. */
  #longestResting(): Share | undefined {
    let found: Share | undefined;
    for (const share of this.#resting) {
      if (found === undefined || share.restingSince < found.restingSince) found = share;
    }
    return found;
  }

  #firstRivalOf(share: Share): Share | undefined {
    const { head } = this.#claims;
    return head === share ? head.next : head;
  }
}
