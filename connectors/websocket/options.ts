import {
  bytesOrString,
  checkOptions,
  countFrom,
  duration,
  nested,
  positiveDuration,
  type Rule,
  shown,
  typed,
} from "../../internal/validate.ts";
import { errorText, oneLine } from "../../internal/text.ts";
import type {
  WebSocketDrainOptions,
  WebSocketMessage,
  WebSocketPingOptions,
} from "../websocket_messages.ts";
import type { ConnectionPlan } from "./connection.ts";
import type { DrainPlan, PingPlan } from "./exchange.ts";

/** The beginning of the message about an invalid option. */
export const SUBJECT = "create a WebSocket connector";

// A token, as RFC 9110, 5.6.2 has it.
const TOKEN = /^[!#$%&'*+\-.^_`|~\w]+$/;

const SCHEMES: readonly string[] = ["ws:", "wss:"];

// The schemes whose URLs are parsed for a password.
const KNOWN_SCHEMES: readonly string[] = [...SCHEMES, "http:", "https:", "ftp:"];

const LONGEST_URL = 100;

function demand(what: string): (value: unknown, name: string, subject: string) => string {
  return (value, name, subject) =>
    `Cannot ${subject} as '${name}' must be ${what}: received ${shown(value)}`;
}

/** A refused URL without its secret parts. */
function shownUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !KNOWN_SCHEMES.includes(url.protocol)) {
    return `a string of ${text.length} characters that is no such URL`;
  }
  const { protocol, host, pathname, search, href } = url;
  const hidden = `${search && "?…"}${href.includes("#") ? "#…" : ""}`;
  return JSON.stringify(`${protocol}//${host}${pathname}`.slice(0, LONGEST_URL) + hidden);
}

/** Checks a URL, given or returned by a function, and copies it. */
export function checkedUrl(value: unknown, subject: string): URL {
  const start = `Cannot ${subject} as 'url' must be a ws: or wss: URL with no fragment: received `;
  if (typeof value !== "string" && !(value instanceof URL)) {
    throw new TypeError(start + shown(value));
  }
  const text = typeof value === "string" ? value : value.href;
  const url = URL.parse(text);
  const isFit = url !== null && SCHEMES.includes(url.protocol) && !url.href.includes("#");
  if (!isFit) throw new RangeError(start + shownUrl(text));
  return url;
}

const urlRule: Rule = (value, _name, subject) => {
  if (typeof value !== "function") checkedUrl(value, subject);
};

/** Checks headers, given or returned by a function, and copies them. */
export function checkedHeaders(value: unknown, subject: string): Headers {
  try {
    if (typeof value !== "function") return new Headers(value as HeadersInit);
  } catch {
    // The platform's message may hold the value of a header.
  }
  const names = badHeaders(value);
  const which = names.length === 0 ? "" : ` with ${names.join(", ")}`;
  const received = typeof value === "string" ? "a string" : shown(value); // it may be a token
  throw new TypeError(
    `Cannot ${subject} as 'headers' must be headers as fetch takes them: ` +
      `received ${received}${which}`,
  );
}

/** Names the invalid headers without their values. */
function badHeaders(value: unknown): string[] {
  try {
    const entries: unknown = Array.isArray(value) ? value : Object.entries(value as object);
    return (entries as unknown[]).flatMap((entry) => {
      if (isHeaders([entry])) return [];
      const name: unknown = Array.isArray(entry) ? entry[0] : undefined;
      if (typeof name !== "string") return ["an entry that is no pair of strings"];
      const what = isHeaders([[name, ""]]) ? "a bad value of" : "the bad name";
      return [`${what} ${oneLine(shown(name))}`];
    });
  } catch {
    return [];
  }
}

function isHeaders(value: unknown): boolean {
  try {
    new Headers(value as HeadersInit);
    return true;
  } catch {
    return false;
  }
}

const headersRule: Rule = (value, _name, subject) => {
  if (typeof value !== "function") checkedHeaders(value, subject);
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
const RULES = {
  url: urlRule,
  headers: headersRule,
  protocols: protocolsRule,
  requireProtocol: typed("boolean"),
  client: clientRule,
  init: typed("function"),
  isRetryable: typed("function"),
  isFatal: typed("function"),
  drain: nested(DRAIN_RULES),
  ping: nested(PING_RULES, ["message", "answer"]),
  maxUnread: countFrom(1),
  maxUnreadBytes: countFrom(1),
  maxBufferedAmount: countFrom(0),
  closeTimeout: positiveDuration,
  maxLingering: countFrom(1),
} satisfies Record<string, Rule>;

/** Copies the options, so that each is read once, and checks them. */
export function checkedOptions<O extends object>(options: O): O {
  const copy = copyOf(options, Object.keys(RULES), "");
  checkOptions(copy, RULES, SUBJECT, ["url"]);
  return copy;
}

function copyOf<O>(options: O, known: readonly string[], prefix: string): O {
  if (typeof options !== "object" || options === null) return options;
  const copy: Record<string, unknown> = {};
  for (const name of new Set([...known, ...Object.keys(options)])) {
    const value = read(options, name, prefix);
    const rules = NESTED_RULES[prefix + name];
    if (value === undefined) continue;
    copy[name] = rules ? copyOf(value, Object.keys(rules), `${name}.`) : value;
  }
  return copy as O;
}

const NESTED_RULES: Record<string, object> = { drain: DRAIN_RULES, ping: PING_RULES };

function read(options: object, name: string, prefix: string): unknown {
  try {
    return (options as Record<string, unknown>)[name];
  } catch (cause) {
    throw new TypeError(
      `Cannot ${SUBJECT} as '${prefix}${name}' cannot be read: received a getter that throws ${
        errorText(cause)
      }`,
      { cause },
    );
  }
}

/** The options that a connection goes by. */
export interface ConnectionOptions {
  readonly drain?: WebSocketDrainOptions | undefined;
  readonly ping?: WebSocketPingOptions | undefined;
  readonly maxUnread?: number | undefined;
  readonly maxUnreadBytes?: number | undefined;
  readonly maxBufferedAmount?: number | undefined;
}

/** The options of a connection, from checked options. */
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

function drainPlan(options: WebSocketDrainOptions): DrainPlan {
  const {
    timeout = 2_000,
    quiet = Math.min(200, timeout / 2), // a default is never refused
    accept = () => true,
  } = options;
  if (quiet < timeout) {
    return { timeout, quiet, accept: predicate(accept, "drain.accept", options) };
  }
  throw new RangeError(
    `Cannot ${SUBJECT} as 'drain.quiet' must be less than 'drain.timeout', ${timeout}: received ${quiet}`,
  );
}

function pingPlan(options: WebSocketPingOptions): PingPlan {
  const { message, answer, timeout = 2_000 } = options;
  const sent = typeof message === "string" ? message : message.slice();
  if (typeof answer === "function") {
    return { message: sent, timeout, isAnswer: predicate(answer, "ping.answer", options) };
  }
  const expected = typeof answer === "string" ? answer : answer.slice();
  return { message: sent, timeout, isAnswer: (message) => isSame(message, expected) };
}

/**
 * Calls a function that returns a boolean as a method of its options. Anything else is
 * refused: the pool takes the error for the worse answer.
 */
export function predicate<A extends unknown[]>(
  given: (...args: A) => boolean,
  name: string,
  options: object,
): (...args: A) => boolean {
  return (...args) => {
    const answer: unknown = given.call(options, ...args);
    if (typeof answer === "boolean") return answer;
    Promise.resolve(answer).catch(() => {}); // if it is a promise that rejects
    throw new TypeError(`'${name}' must return true or false: received ${shown(answer)}`);
  };
}

function isSame(a: WebSocketMessage, b: WebSocketMessage): boolean {
  if (typeof a === "string" || typeof b === "string") return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
