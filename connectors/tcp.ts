/**
 * TCP.
 *
 * @module
 */

import { checkOptions } from "../internal/validate.ts";
import { nameOf } from "./_dial_error.ts";
import { socketConnector } from "./_socket_connector.ts";
import { Socket, type SocketConnector, SocketLease, type SocketOptions } from "./socket.ts";
import { connectTcp, TCP_RULES } from "./socket/tcp_dialer.ts";

/** Options of {@linkcode tcp}: those of `Deno.connect`, and a few of the connection. */
export interface TcpOptions extends SocketOptions {
  /** The port to connect to. */
  port: number;
  /**
   * The name or address to connect to.
   *
   * @default {"127.0.0.1"}
   */
  hostname?: string;
  /** As in a listener's `Deno.NetAddr`: `"tcp"`, nothing else will do. */
  transport?: Deno.NetAddr["transport"];
  /**
   * Whether small writes are sent at once (`TCP_NODELAY`) instead of being collected.
   *
   * @default {true}
   */
  noDelay?: boolean;
  /**
   * Whether the system probes a connection that is silent for long.
   *
   * @default {true}
   */
  keepAlive?: boolean;
  /**
   * Whether the name's IPv6 and IPv4 addresses are tried in turn (RFC 8305).
   *
   * @default {true}
   */
  autoSelectFamily?: boolean;
  /**
   * After how many milliseconds the next address is tried.
   *
   * @default {250}
   */
  autoSelectFamilyAttemptDelay?: number;
}

/**
 * Connects to a TCP server. The lease is a `Deno.Conn`.
 *
 * Needs the permission `--allow-net` for the host.
 *
 * @param options Where to, and how.
 * @returns A connector for a pool.
 * @throws {TypeError} If an option is missing, unknown or of the wrong type.
 * @throws {RangeError} If an option is out of range.
 *
 * @example
 * ```ts
 * import { Pool, tcp } from "@x/sockpool";
 *
 * await using redis = new Pool(tcp({ hostname: "10.0.0.5", port: 6379 }), { maxSize: 10 });
 * ```
 */
export function tcp(options: TcpOptions): SocketConnector<Deno.NetAddr> {
  checkOptions(options, TCP_RULES, "create a TCP connector", ["port"]);
  const tcpOptions = { ...options };
  return socketConnector(
    async ({ signal }) => new Socket(await connectTcp(tcpOptions, signal), tcpOptions),
    SocketLease<Deno.NetAddr>,
    nameOf("tcp", options.hostname ?? "127.0.0.1", options.port),
  );
}
