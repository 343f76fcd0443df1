/**
 * WebSockets.
 *
 * @module
 */

import { showing } from "../internal/text.ts";
import { abortSignal, bytesOrString, checkOptions, duration } from "../internal/validate.ts";
import type { ConnectContext, Connector, ConnectorContext } from "../pool/connector.ts";
import { LeaseReleasedError } from "../pool/errors.ts";
import { Lease, type LeaseSlot } from "../pool/lease.ts";
import { checkRuntime, isFinal } from "./_dial_error.ts";
import { checkClose, ClosingHandshakes } from "./websocket/close.ts";
import type { Connection } from "./websocket/connection.ts";
import { dial, initError, isPassing, protocolError } from "./websocket/dial.ts";
import { checkedOptions, connectionPlan, predicate, SUBJECT } from "./websocket/options.ts";
import { placeOf, Targets, untilAborted } from "./websocket/target.ts";
import { WebSocketClosedError, WebSocketConnectError } from "./websocket_errors.ts";
import type {
  FlushedOptions,
  ReceiveOptions,
  WebSocketDrainOptions,
  WebSocketMessage,
  WebSocketPingOptions,
} from "./websocket_messages.ts";

/**
 * Options of `webSocket()`. Times are in milliseconds.
 *
 * @typeParam S What `init` returns, which leases have as `state`.
 */
export interface WebSocketConnectorOptions<S = unknown> {
  /**
   * Where to: a `ws:` or `wss:` URL with no fragment, or a function that is asked
   * for one at each dial.
   */
  url: string | URL | ((context: ConnectorContext) => string | URL | PromiseLike<string | URL>);
  /**
   * Headers of the opening request, or a function that is asked for them at each
   * dial, such as for a token that is renewed. Those that the protocol needs are
   * the platform's own.
   */
  headers?:
    | HeadersInit
    | ((
      context: ConnectorContext,
    ) => HeadersInit | undefined | PromiseLike<HeadersInit | undefined>)
    | undefined;
  /** The sub-protocols that may be spoken, the preferred one first. */
  protocols?: string | string[] | undefined;
  /**
   * Whether the dial fails when the server chooses none of the `protocols`, as it
   * does in browsers. One that was not offered always fails it.
   *
   * @default {true}
   */
  requireProtocol?: boolean | undefined;
  /**
   * The platform's HTTP client to connect with: for private certificates, or a
   * proxy. It stays open.
   */
  client?: Deno.HttpClient | undefined;
  /**
   * Prepares a new connection before it is lent, such as to log in, or to receive a
   * greeting. It is part of the dial, within `connectTimeout`: if it throws, the dial
   * has failed. Its result is the `state` of every lease.
   */
  init?:
    | ((connection: WebSocketConnection, context: ConnectorContext) => S | PromiseLike<S>)
    | undefined;
  /**
   * Whether a dial that failed so may be tried again. Without it any may. It is not
   * asked about what another try never mends, such as an answer with status 401. A
   * login that `init` finds refused is for it to know: until a delay is over, callers
   * get that error at once then, without a dial.
   */
  isRetryable?: ((error: unknown) => boolean) | undefined;
  /**
   * Whether an error thrown out of `use` closes the WebSocket. By default every
   * error does. One that is not fatal releases it, and it must be fit for that.
   */
  isFatal?: ((error: unknown, connection: WebSocketConnection<S>) => boolean) | undefined;
  /**
   * How the rest of what a server sends is dropped after a release. By default
   * it is not: an unsolicited message closes the WebSocket.
   */
  drain?: WebSocketDrainOptions | undefined;
  /** How to find out whether a connection still works that has been idle for `checkAfter`. */
  ping?: WebSocketPingOptions | undefined;
  /**
   * How many messages may lie unread. With more, the WebSocket is closed; what
   * lies there can still be received.
   *
   * @default {10_000}
   */
  maxUnread?: number | undefined;
  /**
   * How many bytes may lie unread in more than one message, a character counted
   * as one.
   *
   * @default {16_777_216}
   */
  maxUnreadBytes?: number | undefined;
  /**
   * While more bytes than that wait to be sent, `send` throws, and the
   * WebSocket is not reused.
   *
   * @default {Infinity}
   */
  maxBufferedAmount?: number | undefined;
  /**
   * How long a slot is kept for the peer to answer a close, at most
   * `checkTimeout` of the pool. One whose peer has not answered by then lingers.
   *
   * @default {1_000}
   */
  closeTimeout?: number | undefined;
  /**
   * How many closed WebSockets may linger whose peers have not answered the
   * close. At this number a dial is refused, with `Deno.errors.Busy`.
   *
   * @default {100}
   */
  maxLingering?: number | undefined;
}

/**
 * A connector whose resources are WebSockets.
 *
 * @typeParam S What its `init` returns.
 */
export type WebSocketConnector<S = unknown> = Connector<
  WebSocketConnection<S>,
  WebSocketLease<S>
>;

/**
 * Connects to a WebSocket server. The lease sends and receives whole messages:
 * {@linkcode WebSocketLease}.
 *
 * An idle WebSocket is watched: when the peer closes it, or sends an unsolicited
 * message that `drain` does not accept, it is closed at once and its slot is free.
 * With `drain` each released WebSocket is drained in the background before it is
 * reused; it counts as `preparing` meanwhile. So `drain.accept` does what `accept`
 * does for sockets.
 *
 * Two limits are Deno's own. An open WebSocket keeps the process alive, idle or
 * not: close the pool, or wait for `idleTimeout`. And one whose peer does not
 * answer the close can't be freed before the peer ends the connection: it is
 * counted as `lingering`, and keeps the process alive as well.
 *
 * Needs the permission `--allow-net` for the host.
 *
 * @param options Where to, and how.
 * @returns A connector for a pool.
 * @throws {TypeError} If an option is missing, unknown or of the wrong type.
 * @throws {RangeError} If an option is out of range.
 * @throws {Deno.errors.NotSupported} If Deno is older than 2.9.
 *
 * @example
 * ```ts
 * import { Pool, webSocket } from "@x/sockpool";
 *
 * await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
 *   const { socket, response } = Deno.upgradeWebSocket(request);
 *   socket.onmessage = ({ data }) => socket.send(`echo ${data}`);
 *   return response;
 * });
 *
 * await using pool = new Pool(webSocket({ url: `ws://127.0.0.1:${server.addr.port}` }), { maxSize: 5 });
 * const reply = await pool.use(async (ws) => {
 *   ws.send("hello");
 *   return await ws.receive({ timeout: 1_000 });
 * });
 * console.log(reply); // echo hello
 * ```
 *
 * @example A login at each dial, with a token that is renewed
 * ```ts
 * import { Pool, webSocket } from "@x/sockpool";
 *
 * await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
 *   const { socket, response } = Deno.upgradeWebSocket(request);
 *   socket.onmessage = ({ data }) => socket.send(`session of ${data}`);
 *   return response;
 * });
 *
 * const connector = webSocket({
 *   url: `ws://127.0.0.1:${server.addr.port}`,
 *   headers: async () => ({ authorization: `Bearer ${await Promise.resolve("a new token")}` }),
 *   init: async (ws) => {
 *     ws.send("Ann");
 *     return { session: await ws.receive() };
 *   },
 * });
 * await using pool = new Pool(connector);
 * using ws = await pool.acquire();
 * console.log(ws.state.session); // session of Ann
 * ```
 */
export function webSocket<S = undefined>(
  options: WebSocketConnectorOptions<S>,
): WebSocketConnector<S> {
  const given = checkedOptions(options);
  checkRuntime(SUBJECT);
  const { init, isFatal, isRetryable, requireProtocol = true, maxLingering = 100 } = given;
  const plan = connectionPlan(given);
  const targets = new Targets(given);
  const mayRetry = isRetryable && predicate(isRetryable, "isRetryable", given);
  /** For the errors of `init`. */
  const places = new WeakMap<WebSocketConnection<S>, string>();
  const closings = new ClosingHandshakes(given.closeTimeout ?? 1_000);

  async function connect(context: ConnectContext): Promise<WebSocketConnection<S>> {
    if (closings.lingering >= maxLingering) throw tooManyLinger(targets.place, closings.lingering);
    const target = await targets.next(context);
    const connection = await dial(target, plan, context.signal);
    connection.poolClosed = context.closed;
    const error = protocolError(target, connection.protocol, requireProtocol);
    if (error !== undefined) {
      closings.close(connection);
      throw error;
    }
    const resource = wrap<S>(connection);
    if (init !== undefined) places.set(resource, placeOf(target.url));
    return resource;
  }

  return {
    get place() {
      return targets.place;
    },
    connect,
    close: (resource, reason) => closings.close(connectionOf(resource), reason),
    isBroken: (resource) => connectionOf(resource).isBroken,
    isStale: (resource) => connectionOf(resource).isStale,
    isRetryable: (error) => {
      const isLasting = error instanceof WebSocketConnectError ? !isPassing(error) : isFinal(error);
      return !isLasting && (mayRetry === undefined || mayRetry(error));
    },
    lease: (slot) => new WebSocketLease(slot),
    watch: (resource, { lost }) => connectionOf(resource).watch(lost),
    probe: (resource, { wait }) => connectionOf(resource).probe(wait),
    unwatch: (resource) => connectionOf(resource).unwatch(),
    lingering: () => closings.lingering,
    ...showing(() => `Connector(${targets.place})`),
    ...(init && {
      init: async (resource, context) => {
        try {
          const state = await untilAborted(
            () => init.call(given, resource, context),
            context.signal,
          );
          connectionOf(resource).finishInit();
          setState(resource, state);
        } catch (error) {
          throw initError(error, places.get(resource) ?? targets.place, context.signal);
        }
      },
    }),
    ...(isFatal && { isFatal: predicate(isFatal, "isFatal", given) }),
    ...(plan.drain && { reset: (resource, { signal }) => connectionOf(resource).drain(signal) }),
    ...(plan.ping && {
      check: async (resource, { signal }) => {
        await connectionOf(resource).ping(signal);
        return true;
      },
    }),
  };
}

const WAIT_RULES = { signal: abortSignal, timeout: duration };

/** Makes the resource of a connection that was opened. */
let wrap: <S>(connection: Connection) => WebSocketConnection<S>;

/** The connection inside the resource, hidden from borrowers. */
let connectionOf: (resource: WebSocketConnection<unknown>) => Connection;

let setState: <S>(resource: WebSocketConnection<S>, state: S) => void;

/**
 * The resource in a pool of WebSockets: an open WebSocket that keeps the messages
 * which have come and have not been received yet.
 *
 * Taken out of the pool by `detach()`, it is used in the same way as its lease.
 *
 * @typeParam S What the connector's `init` returns.
 *
 * @example
 * ```ts
 * import { Pool, webSocket } from "@x/sockpool";
 *
 * await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
 *   const { socket, response } = Deno.upgradeWebSocket(request);
 *   socket.onmessage = ({ data }) => socket.send(`echo ${data}`);
 *   return response;
 * });
 *
 * await using pool = new Pool(webSocket({ url: `ws://127.0.0.1:${server.addr.port}` }));
 * const connection = (await pool.acquire()).detach(); // no business of the pool any more
 * connection.send("hello");
 * console.log(await connection.receive()); // echo hello
 * connection.close();
 * await connection.closed;
 * ```
 */
export class WebSocketConnection<S = unknown>
  implements AsyncIterable<WebSocketMessage>, Disposable {
  readonly #connection: Connection;
  #state: S | undefined;

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  static {
    wrap = (connection) => new WebSocketConnection(connection);
    connectionOf = (resource) => resource.#connection;
    setState = (resource, state) => {
      resource.#state = state;
    };
  }

  /** What the connector's `init` has returned; undefined while it runs, and without it. */
  get state(): S {
    return this.#state as S;
  }

  /** The sub-protocol that the server has chosen; empty if none. */
  get protocol(): string {
    return this.#connection.protocol;
  }

  /** How many bytes wait to be sent, without those that the system has taken. */
  get bufferedAmount(): number {
    return this.#connection.bufferedAmount;
  }

  /** How many messages have come that have not been received. */
  get unread(): number {
    return this.#connection.unread;
  }

  /** Fulfilled when the connection is closed on both sides. */
  get closed(): Promise<void> {
    return this.#connection.closed;
  }

  /**
   * Sends a message. It does not wait until the message is on its way: see
   * {@linkcode WebSocketConnection.flushed | flushed()}.
   *
   * @param message A string, to be sent as text, or bytes.
   * @throws {WebSocketClosedError} If the connection is closed.
   * @throws {RangeError} If more than `maxBufferedAmount` bytes wait to be sent already.
   */
  send(message: string | Uint8Array): void {
    bytesOrString(message, "message", "send");
    this.#connection.send(message);
  }

  /**
   * Waits until the system has taken all that was sent, so that there is room to
   * send again.
   *
   * @param options A signal or a timeout, to give up the wait.
   * @returns Nothing. The promise rejects with
   * - {@linkcode WebSocketClosedError} if the connection is closed first,
   * - `signal.reason` if the signal is aborted first,
   * - `Deno.errors.TimedOut` if the timeout is over first.
   */
  async flushed(options: FlushedOptions = {}): Promise<void> {
    checkOptions(options, WAIT_RULES, "wait until all is sent");
    const { signal, timeout } = options;
    await this.#connection.flushed({ signal, timeout });
  }

  /**
   * Takes the next message, in the order in which they came. Several calls are
   * served in their order.
   *
   * @param options A signal or a timeout, to give up the wait.
   * @returns The message. The promise rejects with
   * - {@linkcode WebSocketClosedError} once the connection is closed and all that came before has been received,
   * - `RangeError` in the same case, if it was closed because too much was unread,
   * - `signal.reason` if the signal is aborted first,
   * - `Deno.errors.TimedOut` if the timeout is over first.
   */
  receive(options: ReceiveOptions = {}): Promise<WebSocketMessage> {
    try {
      checkOptions(options, WAIT_RULES, "receive");
    } catch (error) {
      return Promise.reject(error);
    }
    const { signal, timeout } = options;
    return this.#connection.receive({ signal, timeout });
  }

  /**
   * The messages, as they come, until the peer closes: in order, or else the
   * iteration throws {@linkcode WebSocketClosedError}. To leave it loses no message.
   */
  [Symbol.asyncIterator](): AsyncGenerator<WebSocketMessage, void, void> {
    return messagesOf(() => this.#connection.receive({}));
  }

  /**
   * Closes the connection: says so to the peer, and ignores what still comes.
   * Doing so again does nothing. See {@linkcode WebSocketConnection.closed | closed} for the peer's answer.
   *
   * @param code 1000, or from 3000 to 4999.
   * @param reason What else to say: up to 123 bytes of UTF-8.
   * @throws {RangeError} If the code is out of range or the reason too long; the connection stays open.
   */
  close(code: number = 1000, reason: string = ""): void {
    checkClose(code, reason);
    this.#connection.close(code, reason);
  }

  /** The same as {@linkcode WebSocketConnection.close | close()}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * A lease on a WebSocket. Leaving the scope of `using` gives it back to the
 * pool; `close()` closes it for good. Once the lease has ended every use throws
 * `LeaseReleasedError`, also while another borrower has the WebSocket; a `receive`
 * that still waits rejects with it.
 *
 * The WebSocket is reused only if it is fit to be: not if it is closed, and not if
 * a `receive` still waits or was given up, since its message would come to the next
 * borrower. Messages left unread are drained if the connector was told how; else
 * they end its reuse as well.
 *
 * @typeParam S What the connector's `init` returns.
 *
 * @example
 * ```ts
 * import { Pool, webSocket } from "@x/sockpool";
 *
 * await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
 *   const { socket, response } = Deno.upgradeWebSocket(request);
 *   socket.onmessage = ({ data }) => {
 *     for (const word of data.split(" ")) socket.send(word);
 *     socket.close(1000);
 *   };
 *   return response;
 * });
 *
 * await using pool = new Pool(webSocket({ url: `ws://127.0.0.1:${server.addr.port}` }));
 * using ws = await pool.acquire();
 * ws.send("one two three");
 * for await (const word of ws) console.log(word); // one, two, three; then the peer closes
 * ```
 */
export class WebSocketLease<S = unknown> extends Lease<WebSocketConnection<S>>
  implements AsyncIterable<WebSocketMessage> {
  /** Made by the connector, or by one that has a class of its own for its leases. */
  constructor(slot: LeaseSlot<WebSocketConnection<S>>) {
    super(slot);
    connectionOf(slot.resource).lend();
  }

  /** What the connector's `init` has returned for this WebSocket; undefined without it. */
  get state(): S {
    return this.value.state;
  }

  /** The sub-protocol that the server has chosen; empty if none. */
  get protocol(): string {
    return this.value.protocol;
  }

  /** How many bytes wait to be sent, without those that the system has taken. */
  get bufferedAmount(): number {
    return this.value.bufferedAmount;
  }

  /** How many messages have come that have not been received. */
  get unread(): number {
    return this.value.unread;
  }

  /**
   * Sends a message: a string as text, or bytes. It does not wait until the
   * message is on its way: see {@linkcode WebSocketLease.flushed | flushed()}.
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
   * Waits until the system has taken all that was sent, so that there is room to
   * send again. What is left to be sent when the lease ends has a quarter of a
   * second; then the WebSocket is closed.
   *
   * @param options A signal or a timeout, to give up the wait.
   * @returns Nothing. The promise rejects with
   * - `WebSocketClosedError` if the connection is closed first,
   * - `signal.reason` if the signal is aborted first,
   * - `Deno.errors.TimedOut` if the timeout is over first,
   * - `LeaseReleasedError` when the lease ends first, and once it has ended.
   */
  async flushed(options: FlushedOptions = {}): Promise<void> {
    await this.value.flushed(options);
  }

  /**
   * Takes the next message, in the order in which they came. Several calls are
   * served in their order.
   *
   * @param options A signal or a timeout, to give up the wait. The message is not
   * lost by that: the next call takes it. But the WebSocket is not reused then.
   * @returns The message. The promise rejects with
   * - `WebSocketClosedError` once the connection is closed and all that came before has been received,
   * - `RangeError` in the same case, if it was closed because too much was unread,
   * - `signal.reason` if the signal is aborted first,
   * - `Deno.errors.TimedOut` if the timeout is over first,
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
    connectionOf(connection).abandonCalls();
    connection.close(code, reason);
    super.discard("closed by the borrower");
  }

  /** Gives the WebSocket back to the pool. Does nothing once the lease has ended. */
  override release(): void {
    if (!this.ended) connectionOf(this.value).abandonCalls();
    super.release();
  }

  /** Gives the WebSocket back to be closed, not to be lent again. See {@linkcode Lease.discard}. */
  override discard(reason?: unknown): void {
    connectionOf(this.value).abandonCalls();
    super.discard(reason);
  }

  /** Takes the WebSocket out of the pool: its slot is free, and closing it is the caller's business. */
  override detach(): WebSocketConnection<S> {
    connectionOf(this.value).abandonCalls();
    return super.detach();
  }
}

/** The messages that `receive` gives, until the peer closes in order. */
async function* messagesOf(
  receive: () => Promise<WebSocketMessage>,
): AsyncGenerator<WebSocketMessage, void, void> {
  while (true) {
    let message: WebSocketMessage;
    try {
      message = await receive();
    } catch (error) {
      if (error instanceof WebSocketClosedError && error.isOrderly) return;
      throw error;
    }
    yield message;
  }
}

function tooManyLinger(place: string, count: number): Error {
  return new Deno.errors.Busy(
    `Cannot connect to ${place} as ${count} closed WebSockets still hold their sockets: ` +
      "the peer does not answer the close",
  );
}
