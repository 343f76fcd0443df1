/**
 * The lease on a WebSocket.
 *
 * @module
 */

import { LeaseReleasedError } from "../pool/errors.ts";
import { Lease, type LeaseSlot } from "../pool/lease.ts";
import { checkClose } from "./_close_frame.ts";
import { messagesOf } from "./_messages.ts";
import type {
  ReceiveOptions,
  WebSocketConnection,
  WebSocketMessage,
} from "./websocket_connection.ts";

/**
 * A lease on a WebSocket. Leaving the scope of `using` gives it back to the
 * pool; `close()` closes it for good. Once the lease has ended every use throws
 * `LeaseReleasedError`, whoever holds the WebSocket by then; a `receive` that
 * still waits rejects with it.
 *
 * The WebSocket is reused only if it is fit to be: not if it is closed, or the
 * lease ends while a `receive` waits. Messages left unread are drained if the
 * connector was told how; else they end its reuse as well.
 */
export class WebSocketLease extends Lease<WebSocketConnection>
  implements AsyncIterable<WebSocketMessage> {
  /** Made by the connector. */
  constructor(slot: LeaseSlot<WebSocketConnection>) {
    super(slot);
  }

  /** The sub-protocol that the server has chosen; empty if none. */
  get protocol(): string {
    return this.value.protocol;
  }

  /** How many bytes wait to be sent, those not counted that the system has taken. */
  get bufferedAmount(): number {
    return this.value.bufferedAmount;
  }

  /** How many messages have come that have not been received. */
  get unread(): number {
    return this.value.unread;
  }

  /**
   * Sends a message: a string as text, or bytes. It does not wait until the
   * message is on its way: see {@linkcode WebSocketLease.bufferedAmount | bufferedAmount}.
   *
   * @param message What to send.
   * @throws {WebSocketClosedError} If the connection is closed.
   * @throws {RangeError} If more than `maxBufferedAmount` bytes wait to be sent already.
   * @throws {LeaseReleasedError} Once the lease has ended.
   */
  send(message: string | Uint8Array): void {
    this.value.send(message);
  }

  /**
   * Takes the next message, in the order in which they came; several calls are
   * served in theirs.
   *
   * @param options A signal, to give up the wait. No message is lost by that.
   * @returns The message. The promise rejects with
   * - `WebSocketClosedError` once the connection is closed and all that came before has been received,
   * - `RangeError` likewise, if it was closed because too much lay unread,
   * - `signal.reason` if the signal is aborted first,
   * - `LeaseReleasedError` when the lease ends first, and once it has ended.
   */
  receive(options?: ReceiveOptions): Promise<WebSocketMessage> {
    if (this.ended) return Promise.reject(new LeaseReleasedError());
    return this.value.receive(options);
  }

  /**
   * The messages, as they come, until the peer closes: with code 1000, 1001 or
   * none, or else the iteration throws `WebSocketClosedError`. To leave it
   * closes nothing and loses no message.
   */
  [Symbol.asyncIterator](): AsyncGenerator<WebSocketMessage, void, void> {
    return messagesOf(() => this.receive());
  }

  /**
   * Closes the WebSocket for good, and frees its slot.
   *
   * @param code 1000, or from 3000 to 4999.
   * @param reason What else to say to the peer: up to 123 bytes of UTF-8.
   * @throws {RangeError} If the code is out of range or the reason too long; the lease goes on.
   * @throws {LeaseReleasedError} Once the lease has ended.
   */
  close(code: number = 1000, reason: string = ""): void {
    const connection = this.value;
    checkClose(code, reason);
    connection.forsake();
    connection.close(code, reason);
    super.discard("closed by the borrower");
  }

  /** Gives the WebSocket back to the pool. Does nothing once the lease has ended. */
  override release(): void {
    if (!this.ended) this.value.forsake();
    super.release();
  }

  /** {@inheritDoc Lease.discard} */
  override discard(reason?: unknown): void {
    this.value.forsake();
    super.discard(reason);
  }

  /** {@inheritDoc Lease.detach} */
  override detach(): WebSocketConnection {
    this.value.forsake();
    return super.detach();
  }
}
