// What every socket keeps for small reads and for the one that watches it. Most
// replies fit, and 10,000 idle sockets cost 5 MB.
const RESTING_SIZE = 512;

/**
 * The bytes that have come and have not been taken yet. At rest it is a small
 * buffer that lives as long as the socket; it grows while more is waited for.
 */
export class Inbox {
  readonly #resting = new Uint8Array(RESTING_SIZE);
  #store = this.#resting;
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  /** The bytes, in place: to be looked at, not to be kept. */
  get bytes(): Uint8Array {
    return this.#store.subarray(this.#start, this.#end);
  }

  /** Where the next bytes are to be written: at least `least` bytes long. */
  room(least = 1): Uint8Array {
    if (this.#store.length - this.#end < least) this.#makeRoom(this.length + least);
    return this.#end === 0 ? this.#store : this.#store.subarray(this.#end);
  }

  /** That many bytes have been written to the room. */
  fill(count: number): void {
    this.#end += count;
  }

  /** Moves as many bytes as there are, and as fit, to the target; answers how many. */
  takeInto(target: Uint8Array): number {
    const count = Math.min(this.length, target.length);
    target.set(this.#store.subarray(this.#start, this.#start + count));
    this.#drop(count);
    return count;
  }

  /** Takes the first bytes out, as a copy. */
  take(count: number): Uint8Array<ArrayBuffer> {
    const taken = this.#store.slice(this.#start, this.#start + count);
    this.#drop(count);
    return taken;
  }

  /** Takes all bytes out; copies them only if they are in the buffer that stays. */
  takeAll(): Uint8Array<ArrayBuffer> {
    if (this.#store === this.#resting) return this.take(this.length);
    const taken = this.#store.subarray(this.#start, this.#end);
    this.#drop(this.length);
    return taken;
  }

  #drop(count: number): void {
    this.#start += count;
    if (this.#start < this.#end) return;
    this.#store = this.#resting;
    this.#start = this.#end = 0;
  }

  /** Empties it. */
  clear(): void {
    this.#drop(this.length);
  }

  /** Moves the bytes to the front, of a larger store only if they would fill half of this one. */
  #makeRoom(size: number): void {
    const isRoomy = 2 * size <= this.#store.length;
    const store = isRoomy ? this.#store : new Uint8Array(Math.max(size, 2 * this.length));
    store.set(this.bytes);
    this.#end = this.length;
    this.#start = 0;
    this.#store = store;
  }
}
