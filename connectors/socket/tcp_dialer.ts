import { dialError, nameOf, PLATFORM_ERRORS, SOCKET_ERRORS } from "../_dial_error.ts";
import { parseProxy, type Proxy, traverse } from "./proxy.ts";

// The microtasks that Deno takes to hand out a connection. Four were measured.
const HAND_OUT_MICROTASKS = 16;

/** The parameters of one TCP dial. */
export interface TcpRoute {
  readonly port: number;
  readonly hostname?: string | undefined;
  readonly proxy?: string | undefined;
  readonly noDelay?: boolean | undefined;
  readonly keepAlive?: boolean | undefined;
  readonly autoSelectFamily?: boolean | undefined;
  readonly autoSelectFamilyAttemptDelay?: number | undefined;
}

/** The part of a socket that a dial uses before it is done. */
interface Dialled {
  writeAll(bytes: Uint8Array): Promise<void>;
  readExactly(count: number): Promise<Uint8Array>;
  readUntil(delimiter: Uint8Array, options: { limit: number }): Promise<Uint8Array>;
  close(): void;
}

/** The target of a route, as errors name it. */
export function placeOf(scheme: string, { hostname = "127.0.0.1", port, proxy }: TcpRoute): string {
  const place = nameOf(scheme, hostname, port);
  const through = parseProxy(proxy);
  return through === undefined ? place : `${place} through ${proxyName(through)}`;
}

/** The place in errors until a dial has called the functions for host, port and proxy. */
export function staticPlace(
  scheme: string,
  { hostname = "127.0.0.1", port, proxy }: { hostname?: unknown; port: unknown; proxy?: unknown },
): string {
  const text = (option: unknown) => typeof option === "function" ? "*" : String(option);
  const place = nameOf(scheme, text(hostname), text(port));
  if (proxy === undefined) return place;
  const through = parseProxy(proxy);
  return `${place} through ${through === undefined ? "*" : proxyName(through)}`;
}

/**
 * Opens a TCP connection, its options set, and by way of the proxy if there is
 * one. `wrap` makes the socket, in which bytes that come too early stay.
 */
export async function dialTcp<S extends Dialled>(
  route: TcpRoute,
  place: string,
  signal: AbortSignal,
  wrap: (conn: Deno.TcpConn) => S,
): Promise<S> {
  const proxy = parseProxy(route.proxy);
  const { hostname = "127.0.0.1", port } = route;
  const target = proxy === undefined ? route : { ...route, ...proxy };
  const conn = await naming(place, signal, () => connectTcp(target, signal), PLATFORM_ERRORS);
  const socket = wrap(conn);
  if (proxy !== undefined) {
    await negotiate(socket, signal, () => askProxy(socket, proxy, bare(hostname), port));
  }
  return socket;
}

/**
 * Runs an exchange with the peer before the connection is ready. If it fails, or the
 * signal is aborted, the socket is closed.
 */
export async function negotiate(
  socket: { close(): void },
  signal: AbortSignal,
  talk: () => unknown,
): Promise<void> {
  let abort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    abort = () => {
      reject(signal.reason);
      socket.close();
    };
  });
  try {
    signal.throwIfAborted();
    signal.addEventListener("abort", abort);
    await Promise.race([aborted, talk()]);
  } catch (error) {
    socket.close();
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Removes the brackets of an IPv6 address, which certificates and proxies do not use. */
export function bare(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}

/**
 * Calls a dial, and adds the place to its error. The signal's reason, and errors of a
 * user's function, stay as they are.
 */
export async function naming<R>(
  place: string,
  signal: AbortSignal,
  dial: () => Promise<R>,
  kinds: readonly unknown[] = SOCKET_ERRORS,
): Promise<R> {
  try {
    return await dial();
  } catch (error) {
    throw signal.aborted && error === signal.reason ? error : dialError(error, place, kinds);
  }
}

async function connectTcp(route: TcpRoute, signal: AbortSignal): Promise<Deno.TcpConn> {
  const { hostname = "127.0.0.1", port, noDelay = true, keepAlive = true } = route;
  const { autoSelectFamily, autoSelectFamilyAttemptDelay } = route;
  const options = { hostname, port, autoSelectFamily, autoSelectFamilyAttemptDelay };
  const conn = await connectUnlessAborted(options as Deno.ConnectOptions, signal);
  try {
    conn.setNoDelay(noDelay);
    conn.setKeepAlive(keepAlive);
    return conn;
  } catch (error) {
    conn.close(); // the peer has reset it already
    throw error;
  }
}

/**
 * An abort that comes between the moment in which Deno has a connection and that
 * in which it hands it out leaves the connection open with no owner. So it is
 * passed on by an immediate, which runs when what Deno has is handed out.
 */
async function connectUnlessAborted(
  options: Deno.ConnectOptions,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  signal.throwIfAborted();
  const late = new AbortController();
  const passOn = async () => {
    for (let hop = 0; hop < HAND_OUT_MICROTASKS; hop++) await undefined;
    late.abort(signal.reason);
  };
  const abort = () => void setImmediate(passOn);
  signal.addEventListener("abort", abort, { once: true });
  try {
    const conn = await Deno.connect({ ...options, signal: late.signal });
    if (!signal.aborted) return conn;
    conn.close();
    throw signal.reason;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

async function askProxy(
  socket: Dialled,
  proxy: Proxy,
  hostname: string,
  port: number,
): Promise<void> {
  const channel = {
    writeAll: (bytes: Uint8Array) => socket.writeAll(bytes),
    readExactly: (count: number) => socket.readExactly(count),
    readUntil: (delimiter: Uint8Array, limit: number) => socket.readUntil(delimiter, { limit }),
  };
  await traverse(channel, proxy, hostname, port);
}

function proxyName({ scheme, hostname, port }: Proxy): string {
  return nameOf(scheme, hostname, port);
}
