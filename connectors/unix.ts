/**
 * Unix domain sockets.
 *
 * @module
 */

import { oneLine } from "../internal/text.ts";
import { checkOptions, nonEmptyString, oneOf, type Rule } from "../internal/validate.ts";
import { checkRuntime, PLATFORM_ERRORS } from "./_dial_error.ts";
import { socketConnector } from "./_socket_connector.ts";
import {
  type OptionSource,
  Socket,
  type SocketConnector,
  type SocketConnectorOptions,
  SocketLease,
} from "./socket.ts";
import { orFunctions, resolveSources, SOCKET_RULES } from "./socket/options.ts";
import { naming } from "./socket/tcp_dialer.ts";

/**
 * Options of {@linkcode unix}.
 *
 * @typeParam State What `init` gives.
 */
export interface UnixOptions<State = undefined>
  extends SocketConnectorOptions<Socket<Deno.UnixAddr>, Socket<Deno.UnixAddr, State>, State> {
  /** The path of the socket, or a function that gives it at each dial. */
  path: OptionSource<string>;
  /** As in a listener's `Deno.UnixAddr`: `"unix"`, nothing else will do. */
  transport?: Deno.UnixAddr["transport"] | undefined;
}

const SUBJECT = "create a Unix connector";
const SOURCE_RULES = { path: nonEmptyString };
const RULES: Record<keyof UnixOptions, Rule> = {
  ...SOCKET_RULES,
  ...orFunctions(SOURCE_RULES),
  transport: oneOf("unix"),
};

// How soon a server whose backlog is full is tried again, at first and at most.
const FIRST_RETRY_MS = 2;
const LAST_RETRY_MS = 50;

/**
 * Connects to a Unix domain socket. The lease is a `Deno.Conn`.
 *
 * Needs the permission `--allow-net=unix:PATH` or `--allow-net`, and
 * `--allow-read` and `--allow-write` for the path. Not available on Windows.
 *
 * A server whose backlog is full is tried again within the `connectTimeout`.
 *
 * @typeParam State What `init` gives: the `state` of each lease.
 * @param options Where to, and how.
 * @returns A connector for a pool.
 * @throws {TypeError} If an option is missing, unknown or of the wrong type.
 * @throws {RangeError} If an option is out of range.
 * @throws {Deno.errors.NotSupported} If Deno is older than 2.9.
 *
 * @example
 * ```ts
 * import { Pool, unix } from "@x/sockpool";
 *
 * await using docker = new Pool(unix({ path: "/var/run/docker.sock" }));
 * ```
 */
export function unix<State = undefined>(
  options: UnixOptions<State>,
): SocketConnector<Deno.UnixAddr, State> {
  checkOptions(options, RULES, SUBJECT, ["path"]);
  checkRuntime(SUBJECT);
  const given = { ...options };
  return socketConnector({
    place: placeOf(typeof given.path === "function" ? "*" : given.path),
    options: given,
    LeaseType: SocketLease<Deno.UnixAddr, State>,
    connect: async (context) => {
      const { signal } = context;
      const { path } = await resolveSources({ path: given.path }, SOURCE_RULES, "dial", context);
      const place = placeOf(path);
      const conn = await naming(place, signal, () => connectUnix(path, signal), PLATFORM_ERRORS);
      return { socket: new Socket<Deno.UnixAddr, State>(conn, given), place };
    },
  });
}

/**
 * Opens a connection. A full backlog, where TCP would wait, fails at once, and the dial is
 * retried. Deno ignores the signal of such a dial; the pool closes a connection that comes
 * too late.
 */
async function connectUnix(path: string, signal: AbortSignal): Promise<Deno.UnixConn> {
  for (let delay = FIRST_RETRY_MS;; delay = Math.min(2 * delay, LAST_RETRY_MS)) {
    try {
      return await Deno.connect({ transport: "unix", path });
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
    }
    await pause(delay, signal);
  }
}

function pause(delay: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    };
    const timer = setTimeout(end, delay);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}

function placeOf(path: string): string {
  return oneLine(`unix:${path}`);
}
