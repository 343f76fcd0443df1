import { type Rule, shown } from "../internal/validate.ts";

// A token, as RFC 9110, 5.6.2 has it.
const TOKEN = /^[!#$%&'*+\-.^_`|~\w]+$/;

const PROTOCOLS: readonly string[] = ["ws:", "wss:", "http:", "https:"];

function demand(what: string): (value: unknown, name: string, subject: string) => string {
  return (value, name, subject) =>
    `Cannot ${subject} as '${name}' must be ${what}: received ${shown(value)}`;
}

const anUrl = demand("a ws: or wss: URL with no fragment");

/** The URL of a WebSocket. */
export const urlRule: Rule = (value, name, subject) => {
  const isGiven = typeof value === "string" || value instanceof URL;
  const text = String(value);
  const message = anUrl(isGiven ? text : value, name, subject);
  if (!isGiven) throw new TypeError(message);
  const url = URL.parse(text);
  const isFit = url !== null && PROTOCOLS.includes(url.protocol) && !url.href.includes("#");
  if (!isFit) throw new RangeError(message);
};

const someHeaders = demand("headers as fetch takes them");

/** Whatever `Headers` can be made of. */
export const headersRule: Rule = (value, name, subject) => {
  try {
    new Headers(value as HeadersInit);
  } catch (cause) {
    throw new TypeError(someHeaders(value, name, subject), { cause });
  }
};

const someProtocols = demand("a name or an array of different names");

/** One sub-protocol, or several. */
export const protocolsRule: Rule = (value, name, subject) => {
  const names: unknown[] = Array.isArray(value) ? value : [value];
  const message = someProtocols(value, name, subject);
  if (!names.every((each) => typeof each === "string")) throw new TypeError(message);
  const areDifferent = new Set(names.map((each) => each.toLowerCase())).size === names.length;
  if (!areDifferent || !names.every((each) => TOKEN.test(each))) throw new RangeError(message);
};

const aClient = demand("a Deno.HttpClient");

/** The platform's HTTP client. */
export const httpClient: Rule = (value, name, subject) => {
  if (!(value instanceof Deno.HttpClient)) throw new TypeError(aClient(value, name, subject));
};

const aMatch = demand("a string, a Uint8Array or a function");

/** A message, or what tells whether something is one. */
export const stringBytesOrFunction: Rule = (value, name, subject) => {
  const isFit = typeof value === "string" || typeof value === "function" ||
    value instanceof Uint8Array;
  if (!isFit) throw new TypeError(aMatch(value, name, subject));
};
