/**
 * The resource in a pool of sockets.
 *
 * @module
 */

import { bytesOrString, checkOptions, countFrom, finiteCountFrom } from "../pool/_validate.ts";
import { eventLoop } from "./_event_loop.ts";
import { IdleWatch } from "./_idle_watch.ts";
import { Reader, type ReaderEvents } from "./_reader.ts";
import { StallGuard } from "./_stall_guard.ts";
import { type ChunkSource, readableOf, writableOf } from "./_streams.ts";
import { Writer } from "./_writer.ts";

/** A `Deno.Conn` that can also read and write whole messages. */
export interface SocketConn<A extends Deno.Addr = Deno.Addr> extends Deno.Conn<A> {
  /**
   * Writes all bytes, in as many writes as it takes.
   *
   * @param bytes The bytes, or a string to be sent as UTF-8.
   */
  writeAll(bytes: Uint8Array | string): Promise<void>;

  /**
   * Reads just so many bytes, however they arrive.
   *
   * @param count How many: an integer of at least 0.
   * @returns The bytes. The promise rejects with `Deno.errors.UnexpectedEof` if the peer ends before.
   */
  readExactly(count: number): Promise<Uint8Array<ArrayBuffer>>;

  /**
   * Reads up to a delimiter, and with it.
   *
   * @param delimiter Bytes, or a string that stands for its UTF-8 bytes; not empty.
   * @param options How far to look.
   * @returns The bytes, the delimiter at their end. The promise rejects with
   * `Deno.errors.UnexpectedEof` if the peer ends before, and with a `RangeError`
   * if the delimiter does not come within the limit; nothing is taken then.
   */
  readUntil(
    delimiter: string | Uint8Array,
    options?: ReadUntilOptions,
  ): Promise<Uint8Array<ArrayBuffer>>;
}

/** Options of {@linkcode SocketConn.readUntil}. */
export interface ReadUntilOptions {
  /**
   * How many bytes there may be, those of the delimiter included.
   *
   * @default {65_536}
   */
  limit?: number;
}

/** Options of a {@linkcode Socket}. */
export interface SocketOptions {
  /**
   * How long one read or write may go without a byte moved, in milliseconds.
   *
   * @default {Infinity}
   */
  ioTimeout?: number | undefined;
}

const DEFAULT_LIMIT = 65_536;

const LONGEST_TIMEOUT = 2 ** 31 - 1;
const READ_UNTIL_RULES = { limit: countFrom(1) };
const checkCount = finiteCountFrom(0);
const encoder = new TextEncoder();

/** What a socket has for its streams and those of its lease, without the methods that users see. */
export let chunksOf: (socket: Socket<Deno.Addr>) => ChunkSource;

/**
 * - `open`: both directions work, as far as is known
 * - `halfClosed`: we have said that we write no more
 * - `ended`: the peer has said so
 * - `failed`: a read or write has failed
 * - `closed`: by us
 */
type SocketState = "open" | "halfClosed" | "ended" | "failed" | "closed";

/**
 * The resource in a pool of sockets: a connection that keeps bytes which have
 * come and have not been read, knows whether it is fit for another borrower,
 * and can be watched while nobody uses it.
 *
 * @typeParam A The type of its addresses.
 */
export class Socket<A extends Deno.Addr = Deno.Addr> implements SocketConn<A> {
  readonly #conn: Deno.Conn<A>;
  readonly #reader: Reader;
  readonly #writer: Writer;
  readonly #guards: StallGuard[] = [];
  readonly #watch: IdleWatch;
  #state: SocketState = "open";
  #failure: unknown;
  /** Whether the connection has been closed, because of a failure or for good. */
  #isReleased = false;
  /** Whether the user has said so. */
  #isUnrefed = false;
  /** Whether the present borrower has got a byte. */
  #hasHeard = false;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  #writable: WritableStream<Uint8Array<ArrayBufferLike>> | undefined;

  /** Takes charge of a connection, which must not be used otherwise from then on. */
  constructor(conn: Deno.Conn<A>, { ioTimeout = Infinity }: SocketOptions = {}) {
    this.#conn = conn;
    const events: ReaderEvents = {
      heard: (read) => this.#heard(read),
      failed: (error) => this.#fail(error),
      arrived: () => this.#arrived(),
    };
    this.#reader = new Reader(conn, events, this.#guard("read", ioTimeout));
    this.#writer = new Writer(conn, events.failed, this.#guard("written", ioTimeout));
    this.#watch = new IdleWatch(conn, this.#reader, (reason) => this.#break(reason));
    eventLoop.join();
  }

  /** The local address of the connection. */
  get localAddr(): A {
    return this.#conn.localAddr;
  }

  /** The remote address of the connection. */
  get remoteAddr(): A {
    return this.#conn.remoteAddr;
  }

  /** What comes in, as a stream. Ending or cancelling it does not close the socket. */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= readableOf(() => this.#reader);
  }

  /** What goes out, as a stream. Closing or aborting it does not close the socket. */
  get writable(): WritableStream<Uint8Array<ArrayBufferLike>> {
    return this.#writable ??= writableOf(() => this);
  }

  /** Reads as many bytes as there are, and fit; resolves to null at the end. */
  read(target: Uint8Array): Promise<number | null> {
    return this.#reader.read(target);
  }

  /** Writes some of the bytes; resolves to how many. */
  write(bytes: Uint8Array): Promise<number> {
    return this.#writer.write(bytes);
  }

  /** {@inheritDoc SocketConn.writeAll} */
  async writeAll(bytes: Uint8Array | string): Promise<void> {
    bytesOrString(bytes, "bytes", "write");
    await this.#writer.writeAll(toBytes(bytes));
  }

  /** {@inheritDoc SocketConn.readExactly} */
  async readExactly(count: number): Promise<Uint8Array<ArrayBuffer>> {
    checkCount(count, "count", "read");
    return await this.#reader.readExactly(count);
  }

  /** {@inheritDoc SocketConn.readUntil} */
  async readUntil(
    delimiter: string | Uint8Array,
    options: ReadUntilOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    checkOptions(options, READ_UNTIL_RULES, "read");
    bytesOrString(delimiter, "delimiter", "read");
    const bytes = toBytes(delimiter);
    if (bytes.length === 0) throw new RangeError("Cannot read as 'delimiter' must not be empty");
    return await this.#reader.readUntil(bytes, options.limit ?? DEFAULT_LIMIT);
  }

  /** Says that no more will be written. The peer may still answer; the socket will not be reused. */
  async closeWrite(): Promise<void> {
    if (this.#state === "open") this.#state = "halfClosed";
    await this.#writer.close();
  }

  /** Closes the socket. Doing so again does nothing. */
  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#release();
  }

  /** The same as {@linkcode Socket.close | close()}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Makes the socket keep the process alive while an operation is in flight; it does by default. */
  ref(): void {
    this.#isUnrefed = false;
    this.#conn.ref();
  }

  /** Makes the socket not keep the process alive, until it has another user. */
  unref(): void {
    this.#isUnrefed = true;
    this.#conn.unref();
  }

  /**
   * Whether nobody may use the socket any more: it has failed, the peer has
   * ended, or the last borrower left it half-closed, in the middle of a read or
   * write, or with bytes unread.
   */
  get isBroken(): boolean {
    return this.#state !== "open" || this.#reader.unread > 0 || this.#reader.isBusy ||
      this.#writer.isBusy;
  }

  /** Whether the peer had hung up on the present borrower before it gave anything back. */
  get isStale(): boolean {
    if (this.#hasHeard) return false;
    return this.#state === "ended" ||
      this.#state === "failed" && !(this.#failure instanceof Deno.errors.TimedOut);
  }

  /**
   * Watches the socket while nobody uses it: whatever comes then means that it
   * is lost. It does not keep the process alive meanwhile.
   *
   * @param onLost Called with the reason, once, unless the watch ends before.
   * @param isWanted Whether somebody is waiting for the socket.
   */
  watch(onLost: (reason: unknown) => void, isWanted: boolean): void {
    if (this.#isReleased) return onLost(this.#failure ?? new Deno.errors.BadResource("closed"));
    for (const guard of this.#guards) guard.rest();
    this.#watch.begin(onLost, isWanted);
  }

  /** What to await before the watched socket is used, so that nothing is overlooked that could be seen. */
  settle(isHurried: boolean): Promise<void> | undefined {
    return this.#watch.settle(isHurried);
  }

  /** Ends the watch: whoever uses the socket now takes over what has been begun to be read. */
  unwatch(): void {
    this.#watch.end();
  }

  /** The socket has a new borrower, who owes nothing to the former one. */
  lend(): void {
    this.#hasHeard = false;
    if (this.#isUnrefed) this.ref();
  }

  #heard(read: number | null): void {
    const isLive = this.#state === "open" || this.#state === "halfClosed";
    if (read !== null) this.#hasHeard = true;
    else if (isLive) this.#state = "ended";
  }

  /** An operation has failed. Answers the error that says why: the first one's, if that closed the connection. */
  #fail(error: unknown): unknown {
    if (this.#state === "closed") return error;
    if (this.#state !== "failed") {
      this.#state = "failed";
      this.#failure = error;
    }
    return this.#failure;
  }

  /** A read is over that nobody may have waited for. */
  #arrived(): void {
    if (this.#state !== "closed" && this.#watch.isOn) this.#watch.lose(this.#strayReason());
  }

  #strayReason(): unknown {
    if (this.#state === "failed") return this.#failure;
    if (this.#state === "ended") {
      return new Deno.errors.ConnectionAborted("The peer closed the idle connection");
    }
    return new Deno.errors.InvalidData("Bytes came that nobody had asked for");
  }

  /** Fails for a reason of our own, and with that all that is in flight. */
  #break(reason: unknown): void {
    this.#fail(reason);
    this.#reader.fail(reason);
    this.#release();
  }

  #release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#watch.stop();
    for (const guard of this.#guards) guard.rest();
    eventLoop.leave();
    this.#conn.close();
  }

  static {
    chunksOf = (socket) => socket.#reader;
  }

  #guard(what: string, ioTimeout: number): StallGuard | undefined {
    if (ioTimeout > LONGEST_TIMEOUT) return undefined;
    const guard = new StallGuard(
      ioTimeout,
      () => this.#break(new Deno.errors.TimedOut(`No byte was ${what} for ${ioTimeout} ms`)),
    );
    this.#guards.push(guard);
    return guard;
  }
}

function toBytes(data: string | Uint8Array): Uint8Array {
  return typeof data === "string" ? encoder.encode(data) : data;
}
