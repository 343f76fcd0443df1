import {
  bytesOrString,
  countFrom,
  duration,
  nested,
  positiveDuration,
  type Rule,
  shown,
  typed,
} from "../../internal/validate.ts";
import type {
  WebSocketDrainOptions,
  WebSocketMessage,
  WebSocketPingOptions,
} from "../websocket_messages.ts";
import type { ConnectionPlan } from "./connection.ts";
import type { DrainPlan, PingPlan } from "./exchange.ts";

/** The beginning of what is said of a bad option. */
export const SUBJECT = "create a WebSocket connector";

// A token, as RFC 9110, 5.6.2 has it.
const TOKEN = /^[!#$%&'*+\-.^_`|~\w]+$/;

const SCHEMES: readonly string[] = ["ws:", "wss:", "http:", "https:"];

function demand(what: string): (value: unknown, name: string, subject: string) => string {
  return (value, name, subject) =>
    `Cannot ${subject} as '${name}' must be ${what}: received ${shown(value)}`;
}

const urlDemand = demand("a ws: or wss: URL with no fragment");

const urlRule: Rule = (value, name, subject) => {
  const isGiven = typeof value === "string" || value instanceof URL;
  const text = String(value);
  const message = urlDemand(isGiven ? text : value, name, subject);
  if (!isGiven) throw new TypeError(message);
  const url = URL.parse(text);
  const isFit = url !== null && SCHEMES.includes(url.protocol) && !url.href.includes("#");
  if (!isFit) throw new RangeError(message);
};

const headersDemand = demand("headers as fetch takes them");

const headersRule: Rule = (value, name, subject) => {
  try {
    new Headers(value as HeadersInit);
  } catch (cause) {
    throw new TypeError(headersDemand(value, name, subject), { cause });
  }
};

const protocolsDemand = demand("a name or an array of different names");

const protocolsRule: Rule = (value, name, subject) => {
  const names: unknown[] = Array.isArray(value) ? value : [value];
  const message = protocolsDemand(value, name, subject);
  if (!names.every((each) => typeof each === "string")) throw new TypeError(message);
  const areDifferent = new Set(names.map((each) => each.toLowerCase())).size === names.length;
  if (!areDifferent || !names.every((each) => TOKEN.test(each))) throw new RangeError(message);
};

const clientDemand = demand("a Deno.HttpClient");

const clientRule: Rule = (value, name, subject) => {
  if (!(value instanceof Deno.HttpClient)) throw new TypeError(clientDemand(value, name, subject));
};

const answerDemand = demand("a string, a Uint8Array or a function");

const answerRule: Rule = (value, name, subject) => {
  const isFit = typeof value === "string" || typeof value === "function" ||
    value instanceof Uint8Array;
  if (!isFit) throw new TypeError(answerDemand(value, name, subject));
};

const DRAIN_RULES: Record<keyof WebSocketDrainOptions, Rule> = {
  timeout: positiveDuration,
  quiet: duration,
  accept: typed("function"),
};

const PING_RULES: Record<keyof WebSocketPingOptions, Rule> = {
  message: bytesOrString,
  answer: answerRule,
  timeout: positiveDuration,
};

/** The rules of the connector's options. */
export const RULES = {
  url: urlRule,
  headers: headersRule,
  protocols: protocolsRule,
  client: clientRule,
  onOpen: typed("function"),
  drain: nested(DRAIN_RULES),
  ping: nested(PING_RULES, ["message", "answer"]),
  maxUnread: countFrom(1),
  maxUnreadBytes: countFrom(1),
  maxBufferedAmount: countFrom(0),
  closeTimeout: positiveDuration,
  maxLingering: countFrom(1),
} satisfies Record<string, Rule>;

/** The options that a connection goes by. */
export interface ConnectionOptions {
  readonly drain?: WebSocketDrainOptions | undefined;
  readonly ping?: WebSocketPingOptions | undefined;
  readonly maxUnread?: number | undefined;
  readonly maxUnreadBytes?: number | undefined;
  readonly maxBufferedAmount?: number | undefined;
}

/** What a connection goes by, of options that have been checked. */
export function connectionPlan({
  drain,
  ping,
  maxUnread = 10_000,
  maxUnreadBytes = 16_777_216,
  maxBufferedAmount = Infinity,
}: ConnectionOptions): ConnectionPlan {
  return {
    drain: drain && drainPlan(drain),
    ping: ping && pingPlan(ping),
    maxUnread,
    maxUnreadBytes,
    maxBufferedAmount,
  };
}

function drainPlan({
  timeout = 2_000,
  quiet = Math.min(200, timeout / 2), // a default is never refused
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

function isSame(a: WebSocketMessage, b: WebSocketMessage): boolean {
  if (typeof a === "string" || typeof b === "string") return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
