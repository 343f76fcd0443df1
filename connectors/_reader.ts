import { Inbox } from "./_inbox.ts";
import { AsyncMutex } from "../internal/async_mutex.ts";
import type { StallGuard } from "./_stall_guard.ts";

/** The connection whose reading half it is. */
export interface ReaderOwner {
  readonly conn: Pick<Deno.Conn, "read">;
  /** A read has brought bytes, or, with null, the end. */
  heard(read: number | null): void;
  /** A read has failed; answers the error to be told. */
  failed(error: unknown): unknown;
  /** A parked read is over. */
  arrived(): void;
}

/** Bytes that a stream may keep. */
export type Chunk = Uint8Array<ArrayBuffer>;

/** A stream's wish for bytes, which it can take back. */
export interface ChunkRequest {
  isCancelled: boolean;
  /** Ends the wait. */
  wake: () => void;
}

// A target smaller than this is filled by way of the inbox. What exceeds it is
// then known to have come.
const SMALL = 512;

// What a stream asks for at once, as Deno's own connections do.
const CHUNK_SIZE = 65_536;

/**
 * The reading half of a connection. A read may be *parked*: begun with nobody
 * waiting for it, to watch an idle connection or because a stream gave it up.
 * What it brings goes to the inbox, and to whoever reads next.
 */
export class Reader {
  readonly #owner: ReaderOwner;
  readonly guard: StallGuard | undefined;
  readonly #inbox = new Inbox();
  readonly #lane = new AsyncMutex();
  #parked: Promise<void> | undefined = undefined;
  #request: ChunkRequest | undefined = undefined;
  #state: "open" | "ended" | "failed" = "open";
  #mayBeBehind = false;
  /** When the system last said what it had. */
  heardAt = performance.now();
  #failure: unknown = undefined;

  constructor(owner: ReaderOwner, guard: StallGuard | undefined) {
    this.#owner = owner;
    this.guard = guard;
  }

  /** Whether a read has been asked for and not been answered, that of a stream apart. */
  get isBusy(): boolean {
    return this.#lane.isBusy && !(this.isStreaming && this.#lane.waiting === 0);
  }

  /** Whether a stream waits for bytes: it may be a pipe's that reads ahead and is being cancelled. */
  get isStreaming(): boolean {
    return this.#request !== undefined;
  }

  /** How many bytes have come that nobody has read. */
  get unread(): number {
    return this.#inbox.length;
  }

  /** Whether the system may hold more bytes: the last read took all that it had room for. */
  get mayBeBehind(): boolean {
    return this.#mayBeBehind;
  }

  /** Reads some bytes; resolves to how many, or to null at the end. */
  read(target: Uint8Array): Promise<number | null> {
    if (target.length === 0) return Promise.resolve(0);
    if (this.#lane.isBusy || this.guard !== undefined) return this.#readInTurn(target);
    if (this.#isDirect(target)) return this.#readAtOnce(target);
    if (!this.#isWaiting) return this.#readInTurn(target);
    this.#lane.enter();
    return this.#readParked(target);
  }

  async readExactly(count: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(count);
    const turn = this.#lane.enter();
    if (turn !== undefined) await turn;
    try {
      for (let filled = 0; filled < count;) {
        const read = await this.#readSome(bytes.subarray(filled));
        if (read === null) {
          throw new Deno.errors.UnexpectedEof(
            `Cannot read ${count} bytes as the connection ended after ${filled}`,
          );
        }
        filled += read;
      }
      return bytes;
    } finally {
      this.#lane.leave();
    }
  }

  async readUntil(delimiter: Uint8Array, limit: number): Promise<Uint8Array<ArrayBuffer>> {
    const turn = this.#lane.enter();
    if (turn !== undefined) await turn;
    try {
      for (let from = 0;;) {
        const { length } = this.#inbox;
        const at = indexOf(this.#inbox.bytes, delimiter, from);
        const end = at + delimiter.length;
        if (at >= 0 && end <= limit) return this.#inbox.take(end);
        if (at >= 0 || length >= limit) {
          throw new RangeError(
            `Cannot read as no delimiter came within the limit of ${limit} bytes`,
          );
        }
        from = Math.max(0, length - delimiter.length + 1);
        if (await this.#more()) continue;
        throw new Deno.errors.UnexpectedEof(
          `Cannot read up to the delimiter as the connection ended after ${length} bytes without it`,
        );
      }
    } finally {
      this.#lane.leave();
    }
  }

  /**
   * Reads what there is, for a stream, and answers false at the end. It is handed
   * over in the very step in which it is taken, so that a request which is
   * cancelled takes nothing: what comes is for whoever reads next.
   */
  async readChunk(request: ChunkRequest, deliver: (chunk: Chunk) => void): Promise<boolean> {
    const turn = this.#lane.enter();
    if (turn !== undefined) await turn;
    this.#request = request;
    try {
      if (this.#inbox.length === 0 && !request.isCancelled) await this.#awaitChunk(request);
      const hasMore = this.#inbox.length > 0;
      if (hasMore && !request.isCancelled) deliver(this.#inbox.takeAll());
      return hasMore;
    } finally {
      this.#request = undefined;
      this.#lane.leave();
    }
  }

  /** Fails for a reason from outside: what has come is nobody's. */
  fail(reason: unknown): void {
    this.#state = "failed";
    this.#failure = reason;
    this.#inbox.clear();
  }

  /** Begins a read that nobody waits for, unless one is in flight already. */
  park(least = 1): Promise<void> {
    return this.#parked ??= this.#receiveParked(this.#inbox.room(least));
  }

  /** The way of nearly all reads. An `async` function would take half as long again for what it adds to Deno's own. */
  #readAtOnce(target: Uint8Array): Promise<number | null> {
    this.#lane.enter();
    return this.#begin(target).then(
      (read) => {
        this.#lane.leave();
        return this.#heard(read, target);
      },
      (error) => {
        this.#lane.leave();
        throw this.#fail(error);
      },
    );
  }

  /** The way of a read that takes over a parked one. */
  #readParked(target: Uint8Array): Promise<number | null> {
    return this.park().then(() => {
      if (this.#isWaiting) return this.#readParked(target);
      this.#lane.leave();
      return this.#hasMore(0) ? this.#inbox.takeInto(target) : null;
    });
  }

  async #readInTurn(target: Uint8Array): Promise<number | null> {
    const turn = this.#lane.enter();
    if (turn !== undefined) await turn;
    try {
      return await this.#readSome(target);
    } finally {
      this.#lane.leave();
    }
  }

  /** Whether to read straight into the target: a large one, if nothing has come or is being waited for. */
  #isDirect(target: Uint8Array): boolean {
    return target.length >= SMALL && this.#inbox.length === 0 && this.#parked === undefined &&
      this.#state === "open";
  }

  /** Reads from the inbox, or else straight into the target if it is large. */
  async #readSome(target: Uint8Array): Promise<number | null> {
    if (!this.#isDirect(target)) {
      if (this.#inbox.length === 0 && !await this.#more()) return null;
      return this.#inbox.takeInto(target);
    }
    this.guard?.begin();
    try {
      return this.#heard(await this.#owner.conn.read(target), target);
    } catch (error) {
      throw this.#fail(error);
    } finally {
      this.guard?.end();
    }
  }

  /** Waits for more bytes in the inbox. Answers false at the end. */
  async #more(): Promise<boolean> {
    const { length } = this.#inbox;
    this.guard?.begin();
    while (this.#state === "open" && this.#inbox.length === length) await this.park();
    this.guard?.end();
    return this.#hasMore(length);
  }

  /** Whether nothing has come, but may. */
  get #isWaiting(): boolean {
    return this.#state === "open" && this.#inbox.length === 0;
  }

  /** Whether there are more bytes than there were, when a parked read is over; if not, that was the end. */
  #hasMore(length: number): boolean {
    if (this.#inbox.length > length) return true;
    if (this.#state === "failed") throw this.#failure;
    return false;
  }

  async #awaitChunk(request: ChunkRequest): Promise<void> {
    if (this.#state === "open") {
      this.guard?.begin();
      await new Promise<void>((resolve) => {
        request.wake = resolve;
        this.park(CHUNK_SIZE).then(resolve);
      });
      this.guard?.end();
    }
    if (this.#inbox.length === 0 && this.#state === "failed") throw this.#failure;
  }

  /** Never rejects: a failure is kept for the next who reads. */
  #receiveParked(room: Uint8Array): Promise<void> {
    return this.#begin(room).then(
      (read) => {
        this.#heard(read, room);
        // What comes after a failure is nobody's.
        if (read !== null && this.#state !== "failed") this.#inbox.fill(read);
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

  #heard(read: number | null, room: Uint8Array): number | null {
    this.#mayBeBehind = read === room.length;
    this.heardAt = performance.now();
    if (read === null && this.#state === "open") this.#state = "ended";
    this.#owner.heard(read);
    return read;
  }

  #fail(error: unknown): unknown {
    this.#state = "failed";
    return this.#failure = this.#owner.failed(error);
  }
}

function indexOf(bytes: Uint8Array, sought: Uint8Array, from: number): number {
  const first = sought[0]!;
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (sought.every((byte, i) => bytes[at + i] === byte)) return at;
  }
  return -1;
}
