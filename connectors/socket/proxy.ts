import { type Rule, shown } from "../../internal/validate.ts";

/** The part of a socket that a proxy handshake uses. */
export interface ByteChannel {
  writeAll(bytes: Uint8Array): Promise<void>;
  readExactly(count: number): Promise<Uint8Array>;
  readUntil(delimiter: Uint8Array, limit: number): Promise<Uint8Array>;
}

/** A proxy, taken from its URL. */
export interface Proxy {
  readonly scheme: "socks5" | "http";
  readonly hostname: string;
  readonly port: number;
  readonly user: string | undefined;
  readonly password: string;
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { socks5: 1080, http: 80 };
const LONGEST_HEAD_BYTES = 16_384;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const DEMAND = '"socks5://[user:password@]host:port" or "http://[user:password@]host:port"';

/** The URL of a proxy. A refused string is not shown, since it may hold a password. */
export const proxyUrl: Rule = (value, name, subject) => {
  if (parseProxy(value) !== undefined) return;
  const received = typeof value === "string" ? "another string" : shown(value);
  throw new TypeError(`Cannot ${subject} as '${name}' must be ${DEMAND}: received ${received}`);
};

/** Parses the URL of a proxy; undefined if it is invalid. */
export function parseProxy(value: unknown): Proxy | undefined {
  if (typeof value !== "string") return undefined;
  const [, scheme, rest] = /^(socks5|http):\/\/(.+)$/.exec(value) ?? [];
  // A special scheme, so that host and port are parsed as those of any URL.
  const url = scheme === undefined ? null : URL.parse(`ftp://${rest}`);
  if (scheme === undefined || url === null || url.hostname === "") return undefined;
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") return undefined;
  try {
    const hasLogin = url.username !== "" || url.password !== ""; // a password alone may be a token
    const user = hasLogin ? decodeURIComponent(url.username) : undefined;
    const password = decodeURIComponent(url.password);
    if (scheme === "socks5" && !(fits(user ?? "") && fits(password))) return undefined;
    const port = url.port === "" ? portIn(rest!) ?? DEFAULT_PORTS[scheme]! : Number(url.port);
    const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1");
    return { scheme: scheme as Proxy["scheme"], hostname, port, user, password };
  } catch {
    return undefined; // a malformed escape
  }
}

/** The parser leaves out the port that its scheme has by default. */
function portIn(rest: string): number | undefined {
  return /:21\/?$/.test(rest) ? 21 : undefined;
}

/** Each field of the login has its length in a single byte (RFC 1929). */
function fits(text: string): boolean {
  return encoder.encode(text).length <= 255;
}

/** Lets the proxy connect to a target, whose name it resolves. */
export async function traverse(
  channel: ByteChannel,
  proxy: Proxy,
  hostname: string,
  port: number,
): Promise<void> {
  try {
    if (proxy.scheme === "http") await connectByHttp(channel, proxy, hostname, port);
    else await connectBySocks(channel, proxy, hostname, port);
  } catch (error) {
    throw proxyError(error);
  }
}

/** What a failed read says about the proxy; other errors stay as they are. */
function proxyError(error: unknown): unknown {
  if (error instanceof Deno.errors.UnexpectedEof) {
    const text = "The proxy hung up before it had answered";
    return new Deno.errors.UnexpectedEof(text, { cause: error });
  }
  if (error instanceof RangeError) {
    const text = `The proxy's answer has no end within ${LONGEST_HEAD_BYTES} bytes`;
    return new Deno.errors.InvalidData(text, { cause: error });
  }
  return error;
}

function unsendable(hostname: string, demand: string): TypeError {
  return new TypeError(
    `Cannot dial as 'hostname' must be ${demand} to be sent to the proxy: received ${
      shown(hostname)
    }`,
  );
}

async function connectByHttp(
  channel: ByteChannel,
  { user, password }: Proxy,
  hostname: string,
  port: number,
): Promise<void> {
  const host = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  if (!/^[\x21-\x7e]+$/.test(host)) throw unsendable(hostname, "printable ASCII");
  const lines = [`CONNECT ${host} HTTP/1.1`, `Host: ${host}`];
  if (user !== undefined) {
    const credentials = encoder.encode(`${user}:${password}`).toBase64();
    lines.push(`Proxy-Authorization: Basic ${credentials}`);
  }
  await channel.writeAll(encoder.encode(`${lines.join("\r\n")}\r\n\r\n`));
  let status = await readStatus(channel);
  while (isInterim(status)) status = await readStatus(channel);
  if (status.startsWith("2")) return;
  if (status === "407" || status === "401") { // tinyproxy's answer to a wrong login is 401
    const text = user === undefined ? "demands a login" : "refused the login";
    throw new Deno.errors.PermissionDenied(`The proxy ${text} with status ${status}`);
  }
  const ErrorType = status === "403" ? Deno.errors.PermissionDenied : Deno.errors.ConnectionRefused;
  throw new ErrorType(`The proxy refused the connection with status ${status}`);
}

/** Whether the answer is still to come, as after "100 Continue". Nothing comes after 101. */
function isInterim(status: string): boolean {
  return status.startsWith("1") && status !== "101";
}

/** Reads the head of a response. */
async function readStatus(channel: ByteChannel): Promise<string> {
  const head = decoder.decode(
    await channel.readUntil(encoder.encode("\r\n\r\n"), LONGEST_HEAD_BYTES),
  );
  const [, status] = /^HTTP\/1\.[01] (\d{3})(?= |\r)/.exec(head) ?? [];
  if (status === undefined) throw new Deno.errors.InvalidData("The proxy does not speak HTTP");
  return status;
}

const SOCKS_VERSION = 5;
const LOGIN_VERSION = 1;
const NO_LOGIN = 0;
const BY_PASSWORD = 2;
const CONNECT = 1;
const DOMAIN_NAME = 3;

/** The length of an address by its type; that of a name is its first byte. */
const ADDRESS_BYTES: Readonly<Record<number, number>> = { 1: 4, 4: 16 };

const REFUSALS: Readonly<Record<number, string>> = {
  1: "general failure",
  2: "not allowed",
  3: "network unreachable",
  4: "host unreachable",
  5: "connection refused",
  6: "time to live expired",
  7: "command not supported",
  8: "address type not supported",
};
const NOT_ALLOWED = 2;

async function connectBySocks(
  channel: ByteChannel,
  proxy: Proxy,
  hostname: string,
  port: number,
): Promise<void> {
  await logIn(channel, proxy);
  const name = encoder.encode(hostname);
  if (name.length > 255) throw unsendable(hostname, "at most 255 bytes");
  const request = [
    SOCKS_VERSION,
    CONNECT,
    0,
    DOMAIN_NAME,
    name.length,
    ...name,
    port >> 8,
    port & 255,
  ];
  await channel.writeAll(Uint8Array.from(request));
  const [version, reply, , type] = await channel.readExactly(4);
  checkVersion(version, SOCKS_VERSION);
  if (reply !== 0) throw refusal(reply!);
  const length = type === DOMAIN_NAME
    ? (await channel.readExactly(1))[0]!
    : ADDRESS_BYTES[type!] ?? notSocks();
  await channel.readExactly(length + 2); // the port is part of it
}

/** Negotiates a login method (RFC 1928), and logs in if the proxy requires it (RFC 1929). */
async function logIn(channel: ByteChannel, { user, password }: Proxy): Promise<void> {
  const methods = user === undefined ? [NO_LOGIN] : [NO_LOGIN, BY_PASSWORD];
  await channel.writeAll(Uint8Array.of(SOCKS_VERSION, methods.length, ...methods));
  const [version, method] = await channel.readExactly(2);
  checkVersion(version, SOCKS_VERSION);
  if (method === NO_LOGIN) return;
  if (method !== BY_PASSWORD || user === undefined) {
    const text = user === undefined ? "demands a login" : "accepts no login by password";
    throw new Deno.errors.PermissionDenied(`The proxy ${text}`);
  }
  const [name, secret] = [encoder.encode(user), encoder.encode(password)];
  const login = [LOGIN_VERSION, name.length, ...name, secret.length, ...secret];
  await channel.writeAll(Uint8Array.from(login));
  const [loginVersion, status] = await channel.readExactly(2);
  checkVersion(loginVersion, LOGIN_VERSION);
  if (status !== 0) throw new Deno.errors.PermissionDenied("The proxy refused the login");
}

function checkVersion(version: number | undefined, expected: number): void {
  if (version !== expected) notSocks();
}

function notSocks(): never {
  throw new Deno.errors.InvalidData("The proxy does not speak SOCKS5");
}

function refusal(reply: number): Error {
  const reason = REFUSALS[reply] ?? `reply ${reply}`;
  const ErrorType = reply === NOT_ALLOWED
    ? Deno.errors.PermissionDenied
    : Deno.errors.ConnectionRefused;
  return new ErrorType(`The proxy could not connect: ${reason}`);
}
