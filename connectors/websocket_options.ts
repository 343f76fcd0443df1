/**
 * Options of WebSockets.
 *
 * @module
 */

import {
  bytesOrString,
  checkOptions,
  countFrom,
  duration,
  nested,
  positiveDuration,
  type Rule,
  typed,
} from "../internal/validate.ts";
import type { ConnectorContext } from "../pool/connector.ts";
import type { DrainPlan } from "./_drain.ts";
import type { PingPlan } from "./_ping.ts";
import {
  headersRule,
  httpClient,
  protocolsRule,
  stringBytesOrFunction,
  urlRule,
} from "./_websocket_rules.ts";
import type {
  ConnectionPlan,
  WebSocketConnection,
  WebSocketMessage,
} from "./websocket_connection.ts";

/** What becomes of messages that come when the borrower has gone. Times are in milliseconds. */
export interface WebSocketDrainOptions {
  /**
   * How long a drain may take before the WebSocket is closed. The pool's
   * `checkTimeout`, 5 seconds unless said otherwise, bounds it too.
   *
   * @default {2_000}
   */
  timeout?: number;
  /**
   * After so long a silence the WebSocket is reused. Less than `timeout`, and
   * half of it by default if it is short.
   *
   * @default {200}
   */
  quiet?: number;
  /**
   * Whether a message may be dropped; one that may not closes the WebSocket. By default any may.
   */
  accept?: (message: WebSocketMessage) => boolean;
}

/** What to ask a peer that has been silent for a while, and what it must answer. */
export interface WebSocketPingOptions {
  /** What is sent: a string as text, or bytes. */
  message: string | Uint8Array;
  /** What has to come back: just this, or what the function says yes to. */
  answer: string | Uint8Array | ((message: WebSocketMessage) => boolean);
  /**
   * How long that may take, in milliseconds. The pool's `checkTimeout` bounds it too.
   *
   * @default {2_000}
   */
  timeout?: number;
}

/** Options of `webSocket()`. Times are in milliseconds. */
export interface WebSocketConnectorOptions {
  /** Where to: `ws:`, `wss:`, or `http:` and `https:`, which mean the same. */
  url: string | URL;
  /** Headers of the opening request. Those that the protocol needs are the platform's own. */
  headers?: HeadersInit;
  /** The sub-protocols that may be spoken, the preferred one first. */
  protocols?: string | string[];
  /**
   * The platform's HTTP client to connect with: for certificates of one's own,
   * or a proxy. It stays open.
   */
  client?: Deno.HttpClient;
  /**
   * What to do with a new connection before it is lent, such as to log in, or
   * to receive a greeting. It is a part of the dial, within `connectTimeout`: if
   * it throws, the dial has failed.
   */
  onOpen?: (connection: WebSocketConnection, context: ConnectorContext) => unknown;
  /**
   * How the rest of what a server sends is dropped after a release. By default
   * it is not: a message that nobody asked for closes the WebSocket.
   */
  drain?: WebSocketDrainOptions;
  /** How to find out whether a connection still works that has been idle for `checkAfter`. */
  ping?: WebSocketPingOptions;
  /**
   * How many messages may lie unread. With more, the WebSocket is closed; what
   * lies there can still be received.
   *
   * @default {10_000}
   */
  maxUnread?: number;
  /**
   * How many bytes may lie unread in more than one message, a character counted
   * as one.
   *
   * @default {16_777_216}
   */
  maxUnreadBytes?: number;
  /**
   * While more bytes than that wait to be sent, `send` throws, and the
   * WebSocket is not reused.
   *
   * @default {Infinity}
   */
  maxBufferedAmount?: number;
  /**
   * How long a slot is kept for the peer to answer a close, at most
   * `checkTimeout` of the pool. One whose peer has not answered by then lingers.
   *
   * @default {1_000}
   */
  closeTimeout?: number;
  /**
   * How many closed WebSockets may linger whose peers have not answered the
   * close. With so many a dial is refused, with `Deno.errors.Busy`.
   *
   * @default {100}
   */
  maxLingering?: number;
}

const SUBJECT = "create a WebSocket connector";

const DRAIN_RULES: Record<keyof WebSocketDrainOptions, Rule> = {
  timeout: positiveDuration,
  quiet: duration,
  accept: typed("function"),
};

const PING_RULES: Record<keyof WebSocketPingOptions, Rule> = {
  message: bytesOrString,
  answer: stringBytesOrFunction,
  timeout: positiveDuration,
};

const RULES: Record<keyof WebSocketConnectorOptions, Rule> = {
  url: urlRule,
  headers: headersRule,
  protocols: protocolsRule,
  client: httpClient,
  onOpen: typed("function"),
  drain: nested(DRAIN_RULES),
  ping: nested(PING_RULES, ["message", "answer"]),
  maxUnread: countFrom(1),
  maxUnreadBytes: countFrom(1),
  maxBufferedAmount: countFrom(0),
  closeTimeout: positiveDuration,
  maxLingering: countFrom(1),
};

const DEFAULTS = {
  maxUnread: 10_000,
  maxUnreadBytes: 16_777_216,
  maxBufferedAmount: Infinity,
  closeTimeout: 1_000,
  maxLingering: 100,
};

/** The options of a connector, checked, with all that they leave unsaid. */
export interface WebSocketPlan {
  readonly url: URL;
  readonly init: WebSocketOptions;
  readonly connection: ConnectionPlan;
  readonly onOpen: WebSocketConnectorOptions["onOpen"];
  readonly closeTimeout: number;
  readonly maxLingering: number;
}

/** Checks the options, and says all that they leave unsaid. */
export function resolveWebSocketOptions(options: WebSocketConnectorOptions): WebSocketPlan {
  checkOptions(options, RULES, SUBJECT, ["url"]);
  const { url, headers, protocols, client, onOpen, drain, ping, ...limits } = options;
  const { closeTimeout, maxLingering, ...bounds } = { ...DEFAULTS, ...said(limits) };
  const connection: ConnectionPlan = {
    ...bounds,
    drain: drain && drainPlan(drain),
    ping: ping && pingPlan(ping),
  };
  // Copies: what the caller does to its own later is of no concern.
  const init = said({
    headers: headers && new Headers(headers),
    protocols: protocols && [protocols].flat(),
    client,
  });
  return { url: new URL(url), init, connection, onOpen, closeTimeout, maxLingering };
}

function drainPlan({
  timeout = 2_000,
  quiet = Math.min(200, timeout / 2), // what was not given is not to be refused
  accept = () => true,
}: WebSocketDrainOptions): DrainPlan {
  if (quiet < timeout) return { timeout, quiet, accept };
  throw new RangeError(
    `Cannot ${SUBJECT} as 'drain.quiet' must be less than 'drain.timeout', ${timeout}: received ${quiet}`,
  );
}

function pingPlan({ message, answer, timeout = 2_000 }: WebSocketPingOptions): PingPlan {
  const sent = typeof message === "string" ? message : message.slice();
  if (typeof answer === "function") return { message: sent, timeout, isAnswer: answer };
  const expected = typeof answer === "string" ? answer : answer.slice();
  return { message: sent, timeout, isAnswer: (message) => isSame(message, expected) };
}

function isSame(a: string | Uint8Array, b: string | Uint8Array): boolean {
  if (typeof a === "string" || typeof b === "string") return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** The options that were given. */
function said<O extends object>(options: O): { [K in keyof O]?: Exclude<O[K], undefined> } {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as { [K in keyof O]?: Exclude<O[K], undefined> };
}
