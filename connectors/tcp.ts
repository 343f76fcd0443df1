/**
 * TCP.
 *
 * @module
 */

import { checkOptions, type Rule } from "../internal/validate.ts";
import { checkRuntime } from "./_dial_error.ts";
import { socketConnector } from "./_socket_connector.ts";
import {
  type OptionSource,
  Socket,
  type SocketConnector,
  type SocketConnectorOptions,
  SocketLease,
} from "./socket.ts";
import {
  orFunctions,
  resolveSources,
  SOCKET_RULES,
  TCP_RULES,
  TCP_SOURCE_RULES,
} from "./socket/options.ts";
import { dialTcp, naming, placeOf, staticPlace } from "./socket/tcp_dialer.ts";

/** Where a TCP connection goes to, and how: what {@linkcode tcp} and {@linkcode tls} have in common. */
export interface TcpDialOptions {
  /** The port to connect to, or a function that gives it at each dial. */
  port: OptionSource<number>;
  /**
   * The name or address to connect to, or a function that gives it at each dial.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: OptionSource<string> | undefined;
  /** As in a listener's `Deno.NetAddr`: `"tcp"`, nothing else will do. */
  transport?: Deno.NetAddr["transport"] | undefined;
  /**
   * Whether small writes are sent at once (`TCP_NODELAY`) instead of being collected.
   *
   * @default {true}
   */
  noDelay?: boolean | undefined;
  /**
   * Whether the system probes a connection that is silent for long.
   *
   * @default {true}
   */
  keepAlive?: boolean | undefined;
  /**
   * Whether the name's IPv6 and IPv4 addresses are tried in turn (RFC 8305).
   *
   * @default {true}
   */
  autoSelectFamily?: boolean | undefined;
  /**
   * After how many milliseconds the next address is tried.
   *
   * @default {250}
   */
  autoSelectFamilyAttemptDelay?: number | undefined;
  /**
   * A proxy to go through, or a function that gives it at each dial:
   * `"socks5://[user:password@]host:port"`, or `"http://[user:password@]host:port"`
   * for HTTP's `CONNECT`. The proxy resolves the host name. No message shows the
   * password.
   */
  proxy?: OptionSource<string> | undefined;
}

/**
 * Options of {@linkcode tcp}.
 *
 * @typeParam State What `init` gives.
 */
export interface TcpOptions<State = undefined>
  extends
    TcpDialOptions,
    SocketConnectorOptions<Socket<Deno.NetAddr>, Socket<Deno.NetAddr, State>, State> {}

const SUBJECT = "create a TCP connector";
const RULES: Record<keyof TcpOptions, Rule> = {
  ...SOCKET_RULES,
  ...TCP_RULES,
  ...orFunctions(TCP_SOURCE_RULES),
};

/**
 * Connects to a TCP server. The lease is a `Deno.Conn`.
 *
 * Needs the permission `--allow-net` for the host, or for the proxy instead.
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
 * import { Pool, tcp } from "@x/sockpool";
 *
 * await using redis = new Pool(
 *   tcp({
 *     hostname: "10.0.0.5",
 *     port: 6379,
 *     init: async (conn) => {
 *       await conn.writeAll("SELECT 2\r\n");
 *       await conn.readUntil("\r\n");
 *     },
 *   }),
 *   { maxSize: 10 },
 * );
 * ```
 */
export function tcp<State = undefined>(
  options: TcpOptions<State>,
): SocketConnector<Deno.NetAddr, State> {
  checkOptions(options, RULES, SUBJECT, ["port"]);
  checkRuntime(SUBJECT);
  const given = { ...options };
  return socketConnector({
    place: staticPlace("tcp", given),
    options: given,
    LeaseType: SocketLease<Deno.NetAddr, State>,
    connect: async (context) => {
      const route = await resolveSources<TcpDialOptions>(given, TCP_SOURCE_RULES, "dial", context);
      const { signal } = context;
      const wrap = (conn: Deno.TcpConn) => new Socket<Deno.NetAddr, State>(conn, given);
      const place = placeOf("tcp", route);
      const socket = await naming(place, signal, () => dialTcp(route, place, signal, wrap));
      return { socket, place };
    },
  });
}
