import { AsyncMutex } from "../../internal/async_mutex.ts";
import { DelimiterSearch } from "./delimiter_search.ts";
import type { IoWatchdog } from "./io_watchdog.ts";

// The buffer of every socket for small reads and for the parked one. Most replies fit,
// and 10,000 idle sockets take 5 MB.
const RESTING_SIZE_BYTES = 512;

/**
 * The received bytes that have not been taken yet: a small buffer that lives as long as
 * the socket, and grows while more bytes are awaited.
 */
class ReadBuffer {
  readonly #resting = new Uint8Array(RESTING_SIZE_BYTES);
  #store = this.#resting;
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  /** The bytes, in place; they must not be kept. */
  get bytes(): Uint8Array {
    return this.#store.subarray(this.#start, this.#end);
  }

  /** The room for the next bytes: at least `least` bytes. */
  room(least = 1): Uint8Array {
    if (this.#store.length - this.#end < least) this.#makeRoom(this.length + least);
    return this.#end === 0 ? this.#store : this.#store.subarray(this.#end);
  }

  /** `count` bytes have been read into the room. What was before them may have been taken meanwhile. */
  fill(room: Uint8Array, count: number): void {
    const isInPlace = room.buffer === this.#store.buffer && room.byteOffset === this.#end;
    if (!isInPlace) this.room(count).set(room.subarray(0, count));
    this.#end += count;
  }

  /** Moves the bytes to the target as far as they fit; returns how many. */
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

  /** Takes all bytes out; copies them only if they are in the buffer that stays, or its room is in use. */
  takeAll(isInUse: boolean): Uint8Array<ArrayBuffer> {
    if (isInUse || this.#store === this.#resting) return this.take(this.length);
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

/** The connection whose reading half it is. */
export interface ReaderOwner {
  readonly conn: Pick<Deno.Conn, "read">;
  /** A read has brought bytes, at the start of `room`, or, with null, the end. */
  onRead(read: number | null, room: Uint8Array): void;
  /** A read has failed; returns the error to throw. */
  failed(error: unknown): unknown;
  /** A parked read is over. */
  arrived(): void;
}

/** Bytes that a stream may keep. */
export type Chunk = Uint8Array<ArrayBuffer>;

/** A cancellable request of a stream for bytes. */
export interface ChunkRequest {
  isCancelled: boolean;
  /** Ends the wait. */
  wake: () => void;
}

// A target smaller than this is filled from the buffer, so that surplus bytes are known.
const SMALL_BYTES = 512;

// The size of a stream's read, as in Deno's own connections. Also the memory allocated for
// a long message before any of it has come.
const CHUNK_SIZE_BYTES = 65_536;

/**
 * The reading half of a connection. A read may be *parked*: in flight without being awaited,
 * to watch an idle connection or because it was aborted. Its bytes go to the buffer, and to
 * the next read.
 */
export class Reader {
  readonly #owner: ReaderOwner;
  readonly watchdog: IoWatchdog | undefined;
  readonly #buffer = new ReadBuffer();
  readonly #mutex = new AsyncMutex();
  #parked: Promise<void> | undefined = undefined;
  #request: ChunkRequest | undefined = undefined;
  #state: "open" | "ended" | "failed" = "open";
  /** Whether the system may hold more bytes: the last read filled its buffer. */
  mayBeBehind = false;
  /** Whether a read was aborted, even before it began, and nothing has come since: its reply may still come. */
  isAbandoned = false;
  /** When the last read ended. */
  lastReadAt = performance.now();
  #failure: unknown = undefined;

  constructor(owner: ReaderOwner, watchdog: IoWatchdog | undefined) {
    this.#owner = owner;
    this.watchdog = watchdog;
  }

  /** Whether a read is pending, except that of a stream. */
  get isBusy(): boolean {
    return this.#mutex.isBusy && !(this.isStreaming && this.#mutex.waiting === 0);
  }

  /** Whether a stream waits for bytes; it may belong to a pipe that reads ahead and is being cancelled. */
  get isStreaming(): boolean {
    return this.#request !== undefined;
  }

  /** The number of unread bytes. */
  get unread(): number {
    return this.#buffer.length;
  }

  /** Reads some bytes; resolves to how many, or to null at the end. */
  read(target: Uint8Array, signal?: AbortSignal): Promise<number | null> {
    if (target.length === 0) return Promise.resolve(0);
    if (signal !== undefined) return this.#readBuffered(target, signal);
    const isFree = this.#mutex.state === "free" && this.watchdog === undefined;
    if (!isFree || this.#state !== "open" || this.#buffer.length > 0) {
      return this.#readInTurn(target);
    }
    return target.length >= SMALL_BYTES && this.#parked === undefined
      ? this.#readAtOnce(target)
      : this.#takeOverParked(target);
  }

  readExactly(count: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return this.#inTurn(signal, () => this.#gather(count, signal));
  }

  readUntil(
    delimiter: Uint8Array,
    limit: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    return this.#inTurn(signal, () => this.#search(delimiter, limit, signal));
  }

  /**
   * Reads the available bytes for a stream; resolves to false at the end. Bytes are taken and
   * handed over in one step, so that a cancelled request takes none: they stay for the next
   * read.
   */
  async readChunk(request: ChunkRequest, deliver: (chunk: Chunk) => void): Promise<boolean> {
    const turn = this.#mutex.enter();
    if (turn !== undefined) await turn;
    this.#request = request;
    try {
      if (this.#buffer.length === 0 && !request.isCancelled) await this.#awaitChunk(request);
      const hasMore = this.#buffer.length > 0;
      if (hasMore && !request.isCancelled) {
        deliver(this.#buffer.takeAll(this.#parked !== undefined));
      }
      return hasMore;
    } finally {
      this.#request = undefined;
      this.#mutex.leave();
    }
  }

  /** Fails for a reason from outside, and drops unread bytes. */
  fail(reason: unknown): void {
    this.#state = "failed";
    this.#failure = reason;
    this.#buffer.clear();
  }

  /** Parks a read, unless one is in flight already. */
  park(least = 1): Promise<void> {
    return this.#parked ??= this.#receiveParked(this.#buffer.room(least));
  }

  /** Most reads go this way. An `async` function would take half as long again for what it adds to Deno's own. */
  #readAtOnce(target: Uint8Array): Promise<number | null> {
    this.#mutex.enter();
    return this.#begin(target).then(
      (read) => {
        this.#mutex.leave();
        return this.#onRead(read, target);
      },
      (error) => {
        this.#mutex.leave();
        throw this.#fail(error);
      },
    );
  }

  /** A read that waits for a parked one, which may be in flight. */
  #takeOverParked(target: Uint8Array): Promise<number | null> {
    this.#mutex.enter();
    return this.#awaitParked(target);
  }

  #awaitParked(target: Uint8Array): Promise<number | null> {
    return this.park().then(() => {
      if (this.#state === "open" && this.#buffer.length === 0) return this.#awaitParked(target);
      this.#mutex.leave();
      return this.#hasMore(0) ? this.#buffer.takeInto(target) : null;
    });
  }

  #readInTurn(target: Uint8Array): Promise<number | null> {
    return this.#inTurn(undefined, () => this.#readSome(target));
  }

  /** An abortable read uses the buffer, so that its bytes stay. */
  #readBuffered(target: Uint8Array, signal: AbortSignal): Promise<number | null> {
    const least = Math.min(target.length, CHUNK_SIZE_BYTES);
    return this.#inTurn(signal, async () => {
      const hasBytes = this.#buffer.length > 0 || await this.#more(least, signal);
      return hasBytes ? this.#buffer.takeInto(target) : null;
    });
  }

  /** Runs operations one after the other. The wait for the turn can be aborted too. */
  async #inTurn<T>(signal: AbortSignal | undefined, operate: () => Promise<T>): Promise<T> {
    const turn = this.#mutex.enter();
    if (turn !== undefined) {
      await abortable(turn, signal).catch((reason) => {
        turn.then(() => {
          this.isAbandoned = true;
          this.#mutex.leave();
        });
        throw reason;
      });
    }
    try {
      if (signal?.aborted) {
        this.isAbandoned = true;
        throw signal.reason;
      }
      return await operate();
    } finally {
      this.#mutex.leave();
    }
  }

  async #gather(count: number, signal: AbortSignal | undefined): Promise<Uint8Array<ArrayBuffer>> {
    if (signal !== undefined) return await this.#gatherInBuffer(count, signal);
    let bytes = new Uint8Array(Math.min(count, CHUNK_SIZE_BYTES));
    for (let filled = 0; filled < count;) {
      if (filled === bytes.length) bytes = enlarged(bytes, Math.min(count, 2 * filled));
      const read = await this.#readSome(bytes.subarray(filled));
      if (read === null) throw endedAfter(filled, count);
      filled += read;
    }
    return bytes;
  }

  /** The bytes stay in the buffer until all have come. */
  async #gatherInBuffer(count: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    for (let { length } = this.#buffer; length < count; length = this.#buffer.length) {
      const hasMore = await this.#more(Math.min(count - length, CHUNK_SIZE_BYTES), signal);
      if (!hasMore) throw endedAfter(length, count);
    }
    return this.#buffer.take(count);
  }

  async #search(
    delimiter: Uint8Array,
    limit: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const search = new DelimiterSearch(delimiter);
    for (;;) {
      const { bytes, length } = this.#buffer;
      const end = search.endIn(bytes, limit);
      if (end > 0) return this.#buffer.take(end);
      if (length >= limit) {
        throw new RangeError(
          `Cannot read as no delimiter came within the limit of ${limit} bytes`,
        );
      }
      if (await this.#more(1, signal)) continue;
      throw new Deno.errors.UnexpectedEof(
        `Cannot read up to the delimiter as the connection ended after ${length} bytes without it`,
      );
    }
  }

  /** Reads from the buffer, or else straight into the target if it is large. */
  async #readSome(target: Uint8Array): Promise<number | null> {
    const isDirect = target.length >= SMALL_BYTES && this.#buffer.length === 0 &&
      this.#parked === undefined && this.#state === "open";
    if (!isDirect) {
      if (this.#buffer.length === 0 && !await this.#more()) return null;
      return this.#buffer.takeInto(target);
    }
    this.watchdog?.begin();
    try {
      return this.#onRead(await this.#owner.conn.read(target), target);
    } catch (error) {
      throw this.#fail(error);
    } finally {
      this.watchdog?.end();
    }
  }

  /** Waits for more bytes in the buffer. Resolves to false at the end. */
  async #more(least = 1, signal?: AbortSignal): Promise<boolean> {
    const { length } = this.#buffer;
    this.watchdog?.begin();
    try {
      while (this.#state === "open" && this.#buffer.length === length) {
        await abortable(this.park(least), signal);
      }
    } catch (reason) {
      this.isAbandoned = true;
      throw reason;
    } finally {
      this.watchdog?.end();
    }
    return this.#hasMore(length);
  }

  /** Whether there are more bytes than there were, when a parked read is over; if not, that was the end. */
  #hasMore(length: number): boolean {
    if (this.#buffer.length > length) return true;
    if (this.#state === "failed") throw this.#failure;
    return false;
  }

  async #awaitChunk(request: ChunkRequest): Promise<void> {
    if (this.#state === "open") {
      this.watchdog?.begin();
      await new Promise<void>((resolve) => {
        request.wake = resolve;
        this.park(CHUNK_SIZE_BYTES).then(resolve);
      });
      this.watchdog?.end();
    }
    if (this.#buffer.length === 0 && this.#state === "failed") throw this.#failure;
  }

  /** Never rejects: a failure is kept for the next read. */
  #receiveParked(room: Uint8Array): Promise<void> {
    return this.#begin(room).then(
      (read) => {
        this.#onRead(read, room);
        // Bytes after a failure are dropped.
        if (read !== null && this.#state !== "failed") this.#buffer.fill(room, read);
        this.#arrived();
      },
      (error) => {
        this.#fail(error);
        this.#arrived();
      },
    );
  }

  /** A connection that is not Deno's own may throw. */
  #begin(target: Uint8Array): Promise<number | null> {
    try {
      return this.#owner.conn.read(target);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #arrived(): void {
    this.#parked = undefined;
    this.#owner.arrived();
  }

  #onRead(read: number | null, room: Uint8Array): number | null {
    this.mayBeBehind = read === room.length;
    this.isAbandoned = false;
    this.lastReadAt = performance.now();
    if (read === null && this.#state === "open") this.#state = "ended";
    this.#owner.onRead(read, room);
    return read;
  }

  #fail(error: unknown): unknown {
    this.#state = "failed";
    return this.#failure = this.#owner.failed(error);
  }
}

/** The same promise, which rejects with the signal's reason if that is aborted first. */
function abortable(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return promise;
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    });
  });
}

function enlarged(bytes: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(size);
  larger.set(bytes);
  return larger;
}

function endedAfter(filled: number, count: number): Error {
  return new Deno.errors.UnexpectedEof(
    `Cannot read ${count} bytes as the connection ended after ${filled}`,
  );
}
