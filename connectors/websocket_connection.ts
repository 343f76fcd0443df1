/**
 * The resource in a pool of WebSockets.
 *
 * @module
 */

import { monotonicNow } from "../internal/clock.ts";
import { LeaseReleasedError } from "../pool/errors.ts";
import { abortSignal, bytesOrString, checkOptions } from "../internal/validate.ts";
import { checkClose } from "./_close_frame.ts";
import { Drain, type DrainPlan } from "./_drain.ts";
import type { Errand } from "./_errand.ts";
import { eventLoopLag as eventLoop } from "../internal/event_loop_lag.ts";
import { Mailbox, type MailboxLimits } from "./_mailbox.ts";
import { MessageWatch } from "./_message_watch.ts";
import { messagesOf } from "./_messages.ts";
import { Ping, type PingPlan } from "./_ping.ts";
import type { Recipient } from "./_recipient.ts";
import { WebSocketClosedError, type WebSocketClosing } from "./websocket_errors.ts";

/** A message: a string if it was sent as text, else bytes. */
export type WebSocketMessage = string | Uint8Array<ArrayBuffer>;

/** Options of one call to receive. */
export interface ReceiveOptions {
  /** Ends the wait when it is aborted: the call rejects with `signal.reason`, and no message is lost. */
  signal?: AbortSignal;
}

/** What a connection is told of the connector's options, all said. */
export interface ConnectionPlan extends MailboxLimits {
  readonly maxBufferedAmount: number;
  readonly drain: DrainPlan | undefined;
  readonly ping: PingPlan | undefined;
}

const LOST: WebSocketClosing = { code: 1006, reason: "", wasClean: false };

const RECEIVE_RULES = { signal: abortSignal };

/**
 * - `open`: as far as is known
 * - `ended`: by the peer, or lost
 * - `closed`: by this side
 */
type ConnectionState = "open" | "ended" | "closed";

/** Makes a connection of an open WebSocket; the connector does. */
export let connectionOf: (socket: WebSocket, plan: ConnectionPlan) => WebSocketConnection;

/**
 * The resource in a pool of WebSockets: an open WebSocket that keeps the
 * messages which have come and have not been received yet, knows whether it is
 * fit for another borrower, and can be watched while nobody uses it.
 *
 * Taken out of the pool by `detach()`, it is used in the same way as its lease.
 */
export class WebSocketConnection implements AsyncIterable<WebSocketMessage>, Disposable {
  readonly #socket: WebSocket;
  readonly #plan: ConnectionPlan;
  readonly #mailbox: Mailbox;
  readonly #watch: MessageWatch;
  /** Who gets what comes now. */
  #recipient: Recipient;
  #state: ConnectionState = "open";
  /** Why it is not open any more. */
  #end: Error | undefined;
  /** What the platform said last of what went wrong. */
  #trouble: unknown;
  /** Whether the last borrower left while it was receiving. */
  #isForsaken = false;
  /** Whether a message has come since the connection was lent. */
  #hasHeard = false;

  /** Fulfilled when the connection is closed on both sides. */
  readonly closed: Promise<void>;

  private constructor(socket: WebSocket, plan: ConnectionPlan) {
    this.#socket = socket;
    this.#plan = plan;
    this.#mailbox = new Mailbox(plan, (error) => this.#break(error));
    this.#watch = new MessageWatch(plan.drain?.accept, (reason) => this.#break(reason));
    this.#recipient = this.#mailbox;
    this.closed = new Promise((resolve) => {
      socket.addEventListener("close", (event) => {
        this.#closedBy(event);
        resolve();
      });
    });
    socket.addEventListener("error", (event) => {
      this.#trouble = (event as ErrorEvent).error;
    });
    socket.addEventListener("message", ({ data }) => this.#take(data));
    eventLoop.join();
  }

  static {
    connectionOf = (socket, plan) => new WebSocketConnection(socket, plan);
  }

  /** The sub-protocol that the server has chosen; empty if none. */
  get protocol(): string {
    return this.#socket.protocol;
  }

  /** How many bytes wait to be sent, those not counted that the system has taken. */
  get bufferedAmount(): number {
    return this.#socket.bufferedAmount;
  }

  /** How many messages have come that nobody has received. */
  get unread(): number {
    return this.#mailbox.unread;
  }

  /**
   * Sends a message. It does not wait until the message is on its way: see
   * {@linkcode WebSocketConnection.bufferedAmount | bufferedAmount}.
   *
   * @param message A string, to be sent as text, or bytes.
   * @throws {WebSocketClosedError} If the connection is closed.
   * @throws {RangeError} If more than `maxBufferedAmount` bytes wait to be sent already.
   */
  send(message: string | Uint8Array): void {
    bytesOrString(message, "message", "send");
    if (this.#isClosed) throw this.#closedError();
    this.#checkBacklog();
    this.#socket.send(message as string);
  }

  /**
   * Takes the next message, in the order in which they came; several calls are
   * served in theirs.
   *
   * @param options A signal, to give up the wait.
   * @returns The message. The promise rejects with
   * - {@linkcode WebSocketClosedError} once the connection is closed and all that came before has been received,
   * - `RangeError` likewise, if it was closed because too much lay unread,
   * - `signal.reason` if the signal is aborted first.
   */
  receive(options?: ReceiveOptions): Promise<WebSocketMessage> {
    if (options === undefined) return this.#mailbox.receive(undefined);
    try {
      checkOptions(options, RECEIVE_RULES, "receive");
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#mailbox.receive(options.signal);
  }

  /**
   * The messages, as they come, until the peer closes: in order, or else the
   * iteration throws {@linkcode WebSocketClosedError}. To leave it loses no message.
   */
  [Symbol.asyncIterator](): AsyncGenerator<WebSocketMessage, void, void> {
    return messagesOf(() => this.#mailbox.receive(undefined));
  }

  /**
   * Closes the connection: says so to the peer, and heeds no more what comes.
   * Doing so again does nothing. See {@linkcode WebSocketConnection.closed | closed} for the peer's answer.
   *
   * @param code 1000, or from 3000 to 4999.
   * @param reason What else to say: up to 123 bytes of UTF-8.
   * @throws {RangeError} If the code is out of range or the reason too long; the connection stays open.
   */
  close(code: number = 1000, reason: string = ""): void {
    checkClose(code, reason);
    if (this.#state !== "open") return;
    const closing = { code, reason, wasClean: false };
    this.#finish("closed", new WebSocketClosedError("This side has closed the WebSocket", closing));
    this.#socket.close(code, reason);
  }

  /** The same as {@linkcode WebSocketConnection.close | close()}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Whether nobody may use the connection any more: it is closed, its last
   * borrower left while it was receiving or with messages unread that are not
   * to be drained, or the peer takes in nothing.
   */
  get isBroken(): boolean {
    return this.#isClosed || this.#isForsaken ||
      this.unread > 0 && this.#plan.drain === undefined ||
      this.bufferedAmount > this.#plan.maxBufferedAmount;
  }

  /** Whether the peer had closed before the present borrower got anything from it. */
  get isStale(): boolean {
    return this.#isClosed && this.#state !== "closed" && !this.#hasHeard;
  }

  /** The connection has a new borrower. */
  lend(): void {
    this.#hasHeard = false;
    this.#recipient = this.#mailbox;
  }

  /** The borrower's lease has ended: whatever it still waits for, it will not get. */
  forsake(): void {
    if (this.#mailbox.waiting === 0) return;
    this.#isForsaken = true;
    this.#mailbox.turnAway(new LeaseReleasedError());
  }

  /**
   * Watches the connection while nobody uses it.
   *
   * @param onLost Called with the reason, once, when it is closed or a message comes that may not be dropped.
   */
  watch(onLost: (reason: unknown) => void): void {
    this.#watch.begin(onLost);
    this.#turnTo(this.#watch);
  }

  /** What to await before the watched connection is used, so that nothing is overlooked that could be seen. */
  settle(): Promise<void> | undefined {
    return eventLoop.catchUp(monotonicNow()) ?? this.#watch.look;
  }

  /** Ends the watch. What comes before there is another user breaks the connection. */
  unwatch(): void {
    this.#watch.end();
  }

  /** Drops what the peer still sends, as the connector was told, until it is quiet. Rejects if the connection can't be reused. */
  async drain(signal: AbortSignal): Promise<void> {
    const { drain } = this.#plan;
    if (drain !== undefined) await this.#run(new Drain(drain, signal));
  }

  /** Asks the peer, as the connector was told, whether it lives. Rejects if it does not seem so. */
  async ping(signal: AbortSignal): Promise<void> {
    const { ping, drain } = this.#plan;
    if (ping === undefined) return;
    if (!this.#isClosed) this.#socket.send(ping.message);
    await this.#run(new Ping(ping, drain?.accept, signal));
  }

  /** Whether the connection is closed; the platform knows of a close frame before it tells. */
  get #isClosed(): boolean {
    return this.#end !== undefined || this.#socket.readyState !== WebSocket.OPEN;
  }

  async #run(errand: Errand): Promise<void> {
    errand.onOver = () => this.#turnTo(this.#watch);
    this.#turnTo(errand);
    await errand.done;
  }

  /** Lets somebody else have what comes, and what has come and not been received. */
  #turnTo(recipient: Recipient): void {
    this.#recipient = recipient;
    while (this.#recipient === recipient && this.unread > 0) {
      recipient.take(this.#mailbox.shift()!);
    }
    if (this.#end !== undefined) recipient.ended(this.#end);
  }

  #take(data: string | ArrayBuffer): void {
    if (this.#end !== undefined) return;
    this.#hasHeard = true;
    this.#recipient.take(typeof data === "string" ? data : new Uint8Array(data));
  }

  #closedBy({ code, reason, wasClean }: CloseEvent): void {
    const closing = wasClean ? { code, reason, wasClean } : LOST;
    this.#finish("ended", this.#errorOf(closing));
  }

  #errorOf(closing: WebSocketClosing): Error {
    if (closing.wasClean) {
      return new WebSocketClosedError("The peer has closed the WebSocket", closing);
    }
    const trouble = this.#trouble === undefined ? "" : ` (${(this.#trouble as Error).message})`;
    return new WebSocketClosedError(`The WebSocket is lost${trouble}`, closing, this.#trouble);
  }

  /** What who sends too late is told: that it is closed, for whatever reason. */
  #closedError(): Error {
    const end = this.#end ?? this.#errorOf(LOST);
    if (end instanceof WebSocketClosedError) return end;
    const closing = { code: 1000, reason: "", wasClean: false };
    const message = `This side has closed the WebSocket (${end.message})`;
    return new WebSocketClosedError(message, closing, end);
  }

  /** Closes the connection for a reason of our own. */
  #break(reason: unknown): void {
    if (this.#state !== "open") return;
    this.#finish("closed", reason as Error);
    this.#socket.close(1000);
  }

  #finish(state: ConnectionState, error: Error): void {
    if (this.#state !== "open") return;
    this.#state = state;
    this.#end = error;
    eventLoop.leave();
    this.#mailbox.ended(error);
    if (this.#recipient !== this.#mailbox) this.#recipient.ended(error);
  }

  #checkBacklog(): void {
    const { maxBufferedAmount } = this.#plan;
    const { bufferedAmount } = this;
    if (bufferedAmount <= maxBufferedAmount) return;
    throw new RangeError(
      `Cannot send as ${bufferedAmount} bytes wait to be sent: ` +
        `'maxBufferedAmount' is ${maxBufferedAmount}`,
    );
  }
}
