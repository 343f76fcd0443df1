import { monotonicNow } from "../../internal/clock.ts";
import { eventLoopLag } from "../../internal/event_loop_lag.ts";
import { errorText, oneLine } from "../../internal/text.ts";
import { LeaseReleasedError } from "../../pool/errors.ts";
import { WebSocketClosedError, type WebSocketClosing } from "../websocket_errors.ts";
import type { WebSocketMessage } from "../websocket_messages.ts";
import { Backlog } from "./backlog.ts";
import { Drain, type DrainPlan, type MessageExchange, Ping, type PingPlan } from "./exchange.ts";
import { IdleWatch } from "./idle_watch.ts";
import { type MessageHandler, MessageQueue, type MessageQueueLimits } from "./message_queue.ts";
import type { WaitOptions } from "./pending_calls.ts";

/** The options of a connection, with their defaults. */
export interface ConnectionPlan extends MessageQueueLimits {
  readonly maxBufferedAmount: number;
  readonly drain: DrainPlan | undefined;
  readonly ping: PingPlan | undefined;
}

// How long an idle connection may take to send the messages of its last borrower.
const FLUSH_TIMEOUT_MS = 250;

const LOST: WebSocketClosing = { code: 1006, reason: "", wasClean: false };

/**
 * - `open`: as far as is known
 * - `ended`: by the peer, or lost
 * - `closed`: by this side
 */
type ConnectionState = "open" | "ended" | "closed";

/**
 * An open WebSocket: keeps the messages that have come and have not been received
 * yet, knows whether it is fit for another borrower, and is watched, drained and
 * pinged between two of them.
 */
export class Connection {
  readonly #socket: WebSocket;
  readonly #plan: ConnectionPlan;
  readonly #queue: MessageQueue;
  readonly #backlog: Backlog;
  readonly #watch: IdleWatch;
  /** The handler of messages that come now. */
  #handler: MessageHandler;
  #state: ConnectionState = "open";
  /** Why it is not open any more. */
  #end: Error | undefined;
  /** The platform's latest error. */
  #lastError: unknown;
  /** Whether the last lease ended while a `receive` waited. */
  #wasAbandoned = false;
  /** Settles when the messages that were buffered at the beginning of the watch are sent. */
  #flushing: Promise<void> | undefined;
  /** Settles when the resources shared with other connections are closed. */
  #released: Promise<void> | undefined;
  /** Whether a message has come since the connection was lent. */
  #hasReceived = false;

  /** Aborted when the pool is closed. */
  poolClosed: AbortSignal | undefined;
  /** Fulfilled when the connection is closed on both sides. */
  readonly closed: Promise<void>;

  constructor(socket: WebSocket, plan: ConnectionPlan) {
    this.#socket = socket;
    this.#plan = plan;
    this.#queue = new MessageQueue(plan, (error) => this.#break(error));
    this.#backlog = new Backlog(() => socket.bufferedAmount);
    this.#watch = new IdleWatch(plan.drain?.accept, (reason) => this.#break(reason));
    this.#handler = this.#queue;
    this.closed = new Promise((resolve) => {
      socket.addEventListener("close", (event) => {
        this.#onClose(event);
        resolve(this.#released);
      });
    });
    socket.addEventListener("error", (event) => {
      this.#lastError = (event as ErrorEvent).error;
    });
    socket.addEventListener("message", ({ data }) => this.#onMessage(data));
    eventLoopLag.join();
  }

  get protocol(): string {
    return this.#socket.protocol;
  }

  get bufferedAmount(): number {
    return this.#socket.bufferedAmount;
  }

  /** How many messages have come that have not been received. */
  get unread(): number {
    return this.#queue.unread;
  }

  send(message: string | Uint8Array): void {
    if (this.#isClosed) throw this.#closedError();
    this.#checkBacklog();
    this.#socket.send(message as string);
  }

  receive(options: WaitOptions): Promise<WebSocketMessage> {
    return this.#queue.receive(options);
  }

  /** Resolves when the system has taken all that was sent. */
  flushed(options: WaitOptions): Promise<void> {
    return this.#backlog.flushed(options);
  }

  close(code: number, reason: string): void {
    this.#close(code, reason, "This side has closed the WebSocket");
  }

  /** Closes it because the pool is closed, even if it is leased. */
  closeWithPool(): void {
    const message = "This side has closed the WebSocket, as the pool was closed";
    this.#close(1000, "", message, this.poolClosed?.reason);
  }

  /**
   * Whether it may not be used any more: it is closed, its last lease ended while a
   * `receive` waited or after one was given up, or with messages unread that are
   * not to be drained, or the peer takes in nothing.
   */
  get isBroken(): boolean {
    return this.#isClosed || this.#wasAbandoned || this.#queue.wasGivenUp ||
      this.unread > 0 && this.#plan.drain === undefined ||
      this.bufferedAmount > this.#plan.maxBufferedAmount;
  }

  /** Whether the peer had closed before the present borrower got anything from it. */
  get isStale(): boolean {
    return this.#isClosed && this.#state !== "closed" && !this.#hasReceived;
  }

  /** The connection has a new borrower. */
  lend(): void {
    this.#hasReceived = false;
    this.#handler = this.#queue;
    eventLoopLag.touch();
  }

  /** The lease has ended: calls that still wait are rejected. */
  abandonCalls(): void {
    this.#backlog.rejectAll(new LeaseReleasedError());
    if (this.#queue.waiting === 0) return;
    this.#wasAbandoned = true;
    this.#queue.rejectAll(new LeaseReleasedError());
  }

  /** Throws if `init` left a `receive` pending, whose message a borrower might get, or the connection closed. */
  finishInit(): void {
    this.abandonCalls();
    if (this.#isClosed) throw this.#closedError();
    if (!this.#wasAbandoned && !this.#queue.wasGivenUp) return;
    throw new Error("A receive() in 'init' was given up: its message may come to a borrower");
  }

  /** Watches the idle connection. Calls `onLost` once if it is closed, or if a message comes that may not be dropped. */
  watch(onLost: (reason: unknown) => void): void {
    eventLoopLag.touch();
    this.#watch.begin(onLost);
    this.#setHandler(this.#watch);
    this.#flushing = this.#isClosed || this.bufferedAmount === 0 ? undefined : this.#flush();
  }

  /**
   * The promise to await before the watched connection is lent, so that no known event is
   * missed, and buffered messages are sent.
   */
  probe(mayWait: boolean): Promise<void> | undefined {
    if (this.#flushing !== undefined) return this.#flushing.then(() => this.#catchUp(true));
    return this.#catchUp(mayWait);
  }

  /** Ends the watch. A message before the next use breaks the connection. */
  unwatch(): void {
    this.#watch.end();
    this.#flushing = undefined;
  }

  /** Drops messages until the peer is quiet. Rejects if the connection can't be reused. */
  async drain(signal: AbortSignal): Promise<void> {
    const { drain } = this.#plan;
    const backlog = () => this.bufferedAmount;
    if (drain !== undefined) await this.#run(new Drain(drain, backlog, signal));
  }

  /** Pings the peer. Rejects without a right answer. */
  async ping(signal: AbortSignal): Promise<void> {
    const { ping, drain } = this.#plan;
    if (ping === undefined) return;
    if (!this.#isClosed) this.#socket.send(ping.message);
    await this.#run(new Ping(ping, drain?.accept, signal));
  }

  /** Whether the connection is closed; the platform knows of a close frame before its event. */
  get #isClosed(): boolean {
    return this.#end !== undefined || this.#socket.readyState !== WebSocket.OPEN;
  }

  #catchUp(mayWait: boolean): Promise<void> | undefined {
    return eventLoopLag.catchUp(monotonicNow(), mayWait) ?? this.#watch.settling;
  }

  /** Waits until the messages of the last borrower are sent. If the peer does not read them, the connection is lost. */
  #flush(): Promise<void> {
    const flushing = this.#backlog.flushed({ timeout: FLUSH_TIMEOUT_MS });
    const isCurrent = () => this.#flushing === flushing;
    flushing.then(
      () => {
        if (isCurrent()) this.#flushing = undefined;
      },
      (reason) => {
        if (isCurrent()) this.#watch.ended(reason);
      },
    );
    return flushing;
  }

  async #run(exchange: MessageExchange): Promise<void> {
    exchange.onOver = () => this.#setHandler(this.#watch);
    this.#setHandler(exchange);
    await exchange.done;
  }

  /** Changes the handler, which also gets the unread messages. */
  #setHandler(handler: MessageHandler): void {
    this.#handler = handler;
    while (this.#handler === handler && this.unread > 0) {
      handler.take(this.#queue.shift()!);
    }
    if (this.#end !== undefined) handler.ended(this.#end);
  }

  #onMessage(data: string | ArrayBuffer): void {
    if (this.#end !== undefined) return;
    this.#hasReceived = true;
    this.#handler.take(typeof data === "string" ? data : new Uint8Array(data));
  }

  #onClose({ code, reason, wasClean }: CloseEvent): void {
    const closing = wasClean ? { code, reason, wasClean } : LOST;
    this.#finish("ended", this.#errorOf(closing));
  }

  #close(code: number, reason: string, message: string, cause?: unknown): void {
    if (this.#state !== "open") return;
    const closing = { code, reason, wasClean: false };
    this.#finish("closed", new WebSocketClosedError(message, closing, cause));
    this.#socket.close(code, reason);
  }

  #errorOf(closing: WebSocketClosing): Error {
    if (closing.wasClean) {
      return new WebSocketClosedError("The peer has closed the WebSocket", closing);
    }
    const said = (this.#lastError as Error | null | undefined)?.message;
    const detail = said === undefined ? "" : ` (${oneLine(said)})`;
    return new WebSocketClosedError(`The WebSocket is lost${detail}`, closing, this.#lastError);
  }

  /** The error of a `send` after the close, whatever its reason. */
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
    this.#finish("closed", reason instanceof Error ? reason : new Error(errorText(reason)));
    this.#socket.close(1000);
  }

  #finish(state: ConnectionState, error: Error): void {
    if (this.#state !== "open") return;
    this.#state = state;
    this.#end = error;
    this.#released = eventLoopLag.leave();
    this.#queue.ended(error);
    this.#backlog.ended(error);
    if (this.#handler !== this.#queue) this.#handler.ended(error);
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
