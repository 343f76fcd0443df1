/**
 * The resource in a pool of sockets, and the lease on it.
 *
 * @module
 */

import { bytesOrString, checkOptions, countFrom, finiteCountFrom } from "../internal/validate.ts";
import type { Connector } from "../pool/connector.ts";
import { LeaseReleasedError } from "../pool/errors.ts";
import { Lease, type LeaseSlot } from "../pool/lease.ts";
import { Connection } from "./socket/connection.ts";
import { type ChunkSource, readableOf, writableOf } from "./socket/streams.ts";

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

const READ_UNTIL_RULES = { limit: countFrom(1) };
const checkCount = finiteCountFrom(0);
const encoder = new TextEncoder();

/** What a socket has for its streams and those of its lease, without the methods that users see. */
export let chunksOf: (socket: Socket<Deno.Addr>) => ChunkSource;

/**
 * The resource in a pool of sockets: a connection that keeps bytes which have
 * come and have not been read, knows whether it is fit for another borrower,
 * and can be watched while nobody uses it.
 *
 * @typeParam A The type of its addresses.
 */
export class Socket<A extends Deno.Addr = Deno.Addr> implements SocketConn<A> {
  readonly #connection: Connection<A>;
  /** Whether the user has said so. */
  #isUnrefed = false;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined = undefined;
  #writable: WritableStream<Uint8Array<ArrayBufferLike>> | undefined = undefined;

  /** Takes charge of a connection, which must not be used otherwise from then on. */
  constructor(conn: Deno.Conn<A>, { ioTimeout = Infinity }: SocketOptions = {}) {
    this.#connection = new Connection(conn, ioTimeout);
  }

  /** The local address of the connection. */
  get localAddr(): A {
    return this.#connection.conn.localAddr;
  }

  /** The remote address of the connection. */
  get remoteAddr(): A {
    return this.#connection.conn.remoteAddr;
  }

  /** What comes in, as a stream. Ending or cancelling it does not close the socket. */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= readableOf(() => this.#connection.reader);
  }

  /** What goes out, as a stream. Closing or aborting it does not close the socket. */
  get writable(): WritableStream<Uint8Array<ArrayBufferLike>> {
    return this.#writable ??= writableOf(() => this);
  }

  /** Reads as many bytes as there are, and fit; resolves to null at the end. */
  read(target: Uint8Array): Promise<number | null> {
    return this.#connection.reader.read(target);
  }

  /** Writes some of the bytes; resolves to how many. */
  write(bytes: Uint8Array): Promise<number> {
    return this.#connection.writer.write(bytes);
  }

  /** {@inheritDoc SocketConn.writeAll} */
  async writeAll(bytes: Uint8Array | string): Promise<void> {
    bytesOrString(bytes, "bytes", "write");
    await this.#connection.writer.writeAll(toBytes(bytes));
  }

  /** {@inheritDoc SocketConn.readExactly} */
  async readExactly(count: number): Promise<Uint8Array<ArrayBuffer>> {
    checkCount(count, "count", "read");
    return await this.#connection.reader.readExactly(count);
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
    return await this.#connection.reader.readUntil(bytes, options.limit ?? DEFAULT_LIMIT);
  }

  /** Says that no more will be written. The peer may still answer; the socket will not be reused. */
  closeWrite(): Promise<void> {
    return this.#connection.closeWrite();
  }

  /** Closes the socket. Doing so again does nothing. */
  close(): void {
    this.#connection.close();
  }

  /** The same as {@linkcode Socket.close | close()}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Makes the socket keep the process alive while an operation is in flight; it does by default. */
  ref(): void {
    this.#isUnrefed = false;
    this.#connection.conn.ref();
  }

  /** Makes the socket not keep the process alive, until it has another user. */
  unref(): void {
    this.#isUnrefed = true;
    this.#connection.conn.unref();
  }

  /**
   * Whether nobody may use the socket any more: it has failed, the peer has
   * ended, or the last borrower left it half-closed, in the middle of a read or
   * write, or with bytes unread.
   */
  get isBroken(): boolean {
    return this.#connection.isBroken;
  }

  /** Whether the peer had hung up on the present borrower before it gave anything back. */
  get isStale(): boolean {
    return this.#connection.isStale;
  }

  /**
   * Watches the socket while nobody uses it: whatever comes then means that it
   * is lost. It does not keep the process alive meanwhile.
   *
   * @param onLost Called with the reason, once, unless the watch ends before.
   * @param isWanted Whether somebody is waiting for the socket.
   */
  watch(onLost: (reason: unknown) => void, isWanted: boolean): void {
    this.#connection.beginWatch(onLost, isWanted);
  }

  /** What to await before the watched socket is used, so that nothing is overlooked that could be seen. */
  settle(isHurried: boolean, hasRested: boolean): Promise<void> | undefined {
    return this.#connection.watch.settle(isHurried, hasRested);
  }

  /** Ends the watch: whoever uses the socket now takes over what has been begun to be read. */
  unwatch(): void {
    this.#connection.watch.end();
  }

  /** The socket has a new borrower, who owes nothing to the former one. */
  lend(): void {
    this.#connection.lend();
    if (this.#isUnrefed) this.ref();
  }

  static {
    chunksOf = (socket) => socket.#connection.reader;
  }
}

/**
 * A lease on a socket, which is itself a `Deno.Conn`: whatever takes one takes
 * it. Leaving the scope of `using` gives the socket back to the pool; `close()`
 * closes it for good. Once the lease has ended every use throws
 * `LeaseReleasedError`, whoever holds the socket by then.
 *
 * The socket is reused only if it is fit to be: not if an operation failed or is
 * still in flight, the peer ended, or bytes are left unread.
 *
 * @typeParam A The type of its addresses.
 * @typeParam S The type of the socket.
 */
export class SocketLease<A extends Deno.Addr = Deno.Addr, S extends Socket<A> = Socket<A>>
  extends Lease<S>
  implements SocketConn<A> {
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  #writable: WritableStream<Uint8Array<ArrayBufferLike>> | undefined;

  /** Made by the connector. */
  constructor(slot: LeaseSlot<S>) {
    super(slot);
  }

  /** The local address of the connection. */
  get localAddr(): A {
    return this.value.localAddr;
  }

  /** The remote address of the connection. */
  get remoteAddr(): A {
    return this.value.remoteAddr;
  }

  /**
   * What comes in, as a stream: one for each lease. Ending or cancelling it does
   * not close the socket, and loses no byte.
   */
  get readable(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#readable ??= readableOf(() => chunksOf(this.value));
  }

  /** What goes out, as a stream: one for each lease. Closing or aborting it does not close the socket. */
  get writable(): WritableStream<Uint8Array<ArrayBufferLike>> {
    return this.#writable ??= writableOf(() => this.value);
  }

  /** Reads as many bytes as there are, and fit; resolves to null at the end. */
  read(target: Uint8Array): Promise<number | null> {
    return this.ended ? ended() : this.value.read(target);
  }

  /** Writes some of the bytes; resolves to how many. */
  write(bytes: Uint8Array): Promise<number> {
    return this.ended ? ended() : this.value.write(bytes);
  }

  /** Writes all bytes, in as many writes as it takes; a string is sent as UTF-8. */
  writeAll(bytes: Uint8Array | string): Promise<void> {
    return this.ended ? ended() : this.value.writeAll(bytes);
  }

  /** Reads just so many bytes; rejects with `Deno.errors.UnexpectedEof` if the peer ends before. */
  readExactly(count: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.ended ? ended() : this.value.readExactly(count);
  }

  /**
   * Reads up to a delimiter, and with it; rejects with `Deno.errors.UnexpectedEof`
   * if the peer ends before, with a `RangeError` if the limit is reached before.
   */
  readUntil(
    delimiter: string | Uint8Array,
    options?: ReadUntilOptions,
  ): Promise<Uint8Array<ArrayBuffer>> {
    return this.ended ? ended() : this.value.readUntil(delimiter, options);
  }

  /** Says that no more will be written. The peer may still answer; the socket will not be reused. */
  closeWrite(): Promise<void> {
    return this.ended ? ended() : this.value.closeWrite();
  }

  /** Closes the socket for good, and frees its slot. */
  close(): void {
    this.discard("closed by the borrower");
  }

  /** Makes the socket keep the process alive while an operation is in flight; it does by default. */
  ref(): void {
    this.value.ref();
  }

  /** Makes the socket not keep the process alive, for the time of this lease. */
  unref(): void {
    this.value.unref();
  }
}

function ended(): Promise<never> {
  return Promise.reject(new LeaseReleasedError());
}

/** A connector whose resources are sockets and whose leases are `Deno.Conn`s. */
export type SocketConnector<A extends Deno.Addr = Deno.Addr> = Connector<Socket<A>, SocketLease<A>>;

function toBytes(data: string | Uint8Array): Uint8Array {
  return typeof data === "string" ? encoder.encode(data) : data;
}
