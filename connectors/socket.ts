/**
 * The resource in a pool of sockets, and the lease on it.
 *
 * @module
 */

import {
  abortSignal,
  bytesOrString,
  checkOptions,
  countFrom,
  finiteCountFrom,
} from "../internal/validate.ts";
import { shown } from "../internal/text.ts";
import type { Connector, ConnectorContext } from "../pool/connector.ts";
import { LeaseReleasedError } from "../pool/errors.ts";
import { Lease, type LeaseSlot } from "../pool/lease.ts";
import { Connection } from "./socket/connection.ts";
import { cancelRequest, chunkRequest, readableOf, writableOf } from "./socket/streams.ts";

/** Options of a read. */
export interface ReadOptions {
  /**
   * Gives up the read when it is aborted: it rejects at once with
   * `signal.reason`. Bytes that have come stay for the next read of the lease.
   * The socket is not lent to others after that, unless more has come and all of
   * it has been read.
   */
  signal?: AbortSignal | undefined;
}

/** Options of {@linkcode SocketConn.readUntil}. */
export interface ReadUntilOptions extends ReadOptions {
  /**
   * How many bytes there may be, those of the delimiter included.
   *
   * @default {65_536}
   */
  limit?: number | undefined;
}

/** A `Deno.Conn` that can also read and write whole messages. */
export interface SocketConn<A extends Deno.Addr = Deno.Addr> extends Deno.Conn<A> {
  /** How many bytes have come since the socket was lent. */
  readonly received: number;

  /**
   * Reads as many bytes as there are, and fit.
   *
   * @param target Where they go.
   * @param options A signal to give up the read.
   * @returns How many bytes were read; null at the end.
   */
  read(target: Uint8Array, options?: ReadOptions): Promise<number | null>;

  /**
   * Writes all bytes, in as many writes as it takes.
   *
   * @param bytes The bytes, or a string to be sent as UTF-8.
   */
  writeAll(bytes: Uint8Array | string): Promise<void>;

  /**
   * Reads exactly that many bytes, however they arrive.
   *
   * @param count How many: an integer of at least 0.
   * @param options A signal to give up the read.
   * @returns The bytes. The promise rejects with `Deno.errors.UnexpectedEof` if the peer ends before.
   */
  readExactly(count: number, options?: ReadOptions): Promise<Uint8Array<ArrayBuffer>>;

  /**
   * Reads up to a delimiter, and with it.
   *
   * @param delimiter Bytes, or a string that stands for its UTF-8 bytes; not empty.
   * @param options How far to look, and a signal to give up the read.
   * @returns The bytes, the delimiter at their end. The promise rejects with
   * `Deno.errors.UnexpectedEof` if the peer ends before, and with a `RangeError`
   * if the delimiter does not come within the limit; nothing is taken then.
   */
  readUntil(
    delimiter: string | Uint8Array,
    options?: ReadUntilOptions,
  ): Promise<Uint8Array<ArrayBuffer>>;
}

/** Options of a {@linkcode Socket}. */
export interface SocketOptions {
  /**
   * How long one read or write may go without a byte moved, in milliseconds. The
   * time for which the event loop is blocked is not counted.
   *
   * @default {Infinity}
   */
  ioTimeout?: number | undefined;
}

/** An option's value, or a function that gives it, asked at each dial. */
export type OptionSource<V> = V | ((context: ConnectorContext) => V | PromiseLike<V>);

// As members of an object type, functions are compared as methods are, and can be undefined.

/**
 * Options of every connector of sockets.
 *
 * @typeParam Fresh The type of a socket that has just been opened.
 * @typeParam S The type of the socket after that.
 * @typeParam State What `init` gives.
 */
export interface SocketConnectorOptions<Fresh, S, State> extends SocketOptions {
  /**
   * Prepares a new connection for its first use, such as by a login. It is part of
   * the dial, and bounded with it by `connectTimeout`; if it fails, the connection
   * is closed. Its result is the `state` of the socket and of each lease on it. It
   * must read all replies to its requests.
   */
  init?:
    | { call(conn: Fresh, context: ConnectorContext): State | PromiseLike<State> }["call"]
    | undefined;

  /**
   * Reads unsolicited bytes: while the socket is idle, or, if bytes are unread, when
   * it is released. Bounded by `checkTimeout`. A throw, or bytes
   * left unread, retire the socket. Without it such bytes do.
   */
  accept?: { call(conn: S, context: ConnectorContext): unknown }["call"] | undefined;

  /**
   * Whether a dial that failed so may be tried again. Without it any may. It is not
   * asked about what another try never mends, such as a rejected certificate. A wrong
   * password is for it to know: until a delay is over, callers get that error at once
   * then, without a dial.
   */
  isRetryable?: { call(error: unknown): boolean }["call"] | undefined;

  /**
   * Whether an error thrown out of `use` spoils the socket, which is closed then.
   * By default every error does.
   */
  isFatal?: { call(error: unknown, conn: S): boolean }["call"] | undefined;

  /**
   * Whether these bytes, all that came during a lease, only say that the server
   * hangs up without having done anything, such as PostgreSQL's error 57P01. With
   * `retryStale` the request is sent once more then.
   */
  farewell?: ((bytes: Uint8Array<ArrayBuffer>) => boolean) | undefined;
}

const DEFAULT_LIMIT = 65_536;

const READ_RULES = { signal: abortSignal };
const READ_UNTIL_RULES = { ...READ_RULES, limit: countFrom(1) };
const checkCount = finiteCountFrom(0);
const encoder = new TextEncoder();

/** What connectors and leases do with a socket, without methods that users see. */
export let connectionOf: <A extends Deno.Addr>(socket: Socket<A, unknown>) => Connection<A>;

/** Tells a socket that it has a new borrower. */
let lend: (socket: Socket<Deno.Addr, unknown>) => void;

/**
 * The resource in a pool of sockets: a connection that keeps bytes which have
 * come and have not been read.
 *
 * @typeParam A The type of its addresses.
 * @typeParam State What the connector's `init` has given.
 */
export class Socket<A extends Deno.Addr = Deno.Addr, State = undefined> implements SocketConn<A> {
  readonly #connection: Connection<A>;
  /** Whether the user has said so. */
  #isUnrefed = false;
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined = undefined;
  #writable: WritableStream<Uint8Array<ArrayBufferLike>> | undefined = undefined;

  /** Takes charge of a connection, which must not be used otherwise from then on. */
  constructor(conn: Deno.Conn<A>, options: SocketOptions = {}) {
    this.#connection = new Connection(conn, options);
  }

  /** What the connector's `init` has given. */
  get state(): State {
    return this.#connection.state as State;
  }

  /** How many bytes have come since the socket was lent. */
  get received(): number {
    return this.#connection.received;
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

  /** Reads as many bytes as there are, and fit; null at the end. See {@linkcode SocketConn.read}. */
  read(target: Uint8Array, options?: ReadOptions): Promise<number | null> {
    const isPlain = options === undefined && target instanceof Uint8Array;
    return isPlain ? this.#connection.reader.read(target) : this.#readWith(target, options);
  }

  /** Writes some of the bytes; resolves to how many. */
  write(bytes: Uint8Array): Promise<number> {
    if (bytes instanceof Uint8Array) return this.#connection.writer.write(bytes);
    return Promise.reject(notBytes("write", "bytes", bytes));
  }

  /** Writes all bytes, or all of a string as UTF-8. */
  async writeAll(bytes: Uint8Array | string): Promise<void> {
    bytesOrString(bytes, "bytes", "write");
    await this.#connection.writer.writeAll(toBytes(bytes));
  }

  /** Reads exactly that many bytes, however they arrive. See {@linkcode SocketConn.readExactly}. */
  async readExactly(count: number, options?: ReadOptions): Promise<Uint8Array<ArrayBuffer>> {
    checkCount(count, "count", "read");
    return await this.#connection.reader.readExactly(count, signalOf(options));
  }

  /** Reads up to a delimiter, and with it. See {@linkcode SocketConn.readUntil}. */
  async readUntil(
    delimiter: string | Uint8Array,
    options: ReadUntilOptions = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    checkOptions(options, READ_UNTIL_RULES, "read");
    bytesOrString(delimiter, "delimiter", "read");
    const bytes = toBytes(delimiter);
    if (bytes.length === 0) throw new RangeError("Cannot read as 'delimiter' must not be empty");
    const { limit = DEFAULT_LIMIT, signal } = options;
    return await this.#connection.reader.readUntil(bytes, limit, signal);
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

  async #readWith(target: Uint8Array, options: ReadOptions | undefined): Promise<number | null> {
    if (!(target instanceof Uint8Array)) throw notBytes("read", "target", target);
    return await this.#connection.reader.read(target, signalOf(options));
  }

  static {
    connectionOf = (socket) => socket.#connection;
    lend = (socket) => {
      socket.#connection.lend();
      if (socket.#isUnrefed) socket.ref();
    };
  }
}

/**
 * A lease on a socket, which is itself a `Deno.Conn` and can be used as one. Leaving the scope of `using` gives the socket back to the pool; `close()`
 * closes it for good. Once the lease has ended every use throws
 * `LeaseReleasedError`, also while another borrower holds the socket.
 *
 * The socket is reused only if it is fit to be: not if an operation failed or is
 * still in flight, the peer ended, or bytes are left unread.
 *
 * @typeParam A The type of its addresses.
 * @typeParam State What the connector's `init` gives.
 * @typeParam S The type of the socket.
 */
export class SocketLease<
  A extends Deno.Addr = Deno.Addr,
  State = undefined,
  S extends Socket<A, State> = Socket<A, State>,
> extends Lease<S> implements SocketConn<A> {
  #readable: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
  #writable: WritableStream<Uint8Array<ArrayBufferLike>> | undefined;
  /** What `readable` waits for. */
  readonly #request = chunkRequest();

  /** Made by the connector, or by one that has a class of its own for its leases. */
  constructor(slot: LeaseSlot<S>) {
    super(slot);
    lend(slot.resource);
  }

  /** What the connector's `init` has given. It belongs to the socket, and is gone with it. */
  get state(): State {
    return this.value.state;
  }

  /** How many bytes have come since the socket was lent. */
  get received(): number {
    return this.value.received;
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
    return this.#readable ??= readableOf(() => connectionOf(this.value).reader, this.#request);
  }

  /** What goes out, as a stream: one for each lease. Closing or aborting it does not close the socket. */
  get writable(): WritableStream<Uint8Array<ArrayBufferLike>> {
    return this.#writable ??= writableOf(() => this.value);
  }

  /** Reads as many bytes as there are, and fit; null at the end. See {@linkcode SocketConn.read}. */
  read(target: Uint8Array, options?: ReadOptions): Promise<number | null> {
    try {
      return this.value.read(target, options);
    } catch (error) {
      return Promise.reject(error); // the lease has ended
    }
  }

  /** Writes some of the bytes; resolves to how many. */
  write(bytes: Uint8Array): Promise<number> {
    try {
      return this.value.write(bytes);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Writes all bytes, or all of a string as UTF-8. */
  writeAll(bytes: Uint8Array | string): Promise<void> {
    return this.ended ? ended() : this.value.writeAll(bytes);
  }

  /** Reads exactly that many bytes, however they arrive. See {@linkcode SocketConn.readExactly}. */
  readExactly(count: number, options?: ReadOptions): Promise<Uint8Array<ArrayBuffer>> {
    return this.ended ? ended() : this.value.readExactly(count, options);
  }

  /** Reads up to a delimiter, and with it. See {@linkcode SocketConn.readUntil}. */
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

  /**
   * Takes the socket out of the pool: its slot is free, and closing it is the
   * caller's business. What the lease's `readable` waits for goes to the socket.
   */
  override detach(): S {
    const socket = super.detach();
    cancelRequest(this.#request);
    return socket;
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

/**
 * A connector whose resources are sockets and whose leases are `Deno.Conn`s.
 *
 * @typeParam A The type of its addresses.
 * @typeParam State What its `init` gives.
 */
export type SocketConnector<A extends Deno.Addr = Deno.Addr, State = undefined> = Connector<
  Socket<A, State>,
  SocketLease<A, State>
>;

function ended(): Promise<never> {
  return Promise.reject(new LeaseReleasedError());
}

function signalOf(options: ReadOptions | undefined): AbortSignal | undefined {
  if (options === undefined) return undefined;
  checkOptions(options, READ_RULES, "read");
  return options.signal;
}

function notBytes(subject: string, name: string, value: unknown): TypeError {
  return new TypeError(
    `Cannot ${subject} as '${name}' must be a Uint8Array: received ${shown(value)}`,
  );
}

function toBytes(data: string | Uint8Array): Uint8Array {
  return typeof data === "string" ? encoder.encode(data) : data;
}
