/**
 * The lease on a socket.
 *
 * @module
 */

import { LeaseReleasedError } from "../pool/errors.ts";
import { Lease, type LeaseSlot } from "../pool/lease.ts";
import { readableOf, writableOf } from "./_streams.ts";
import { chunksOf, type ReadUntilOptions, type Socket, type SocketConn } from "./socket.ts";

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
