/**
 * TCP.
 *
 * @module
 */

import {
  checkOptions,
  duration,
  nonEmptyString,
  oneOf,
  port,
  positiveDuration,
  type Rule,
  typed,
} from "../pool/_validate.ts";
import { type SocketConnector, socketConnector } from "./_socket_connector.ts";
import type { SocketOptions } from "./socket.ts";

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
  /** As in `Deno.ConnectOptions` and `Deno.NetAddr`: nothing else will do. */
  transport?: "tcp";
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

const RULES: Record<keyof TcpOptions, Rule> = {
  port,
  hostname: nonEmptyString,
  transport: oneOf("tcp"),
  noDelay: typed("boolean"),
  keepAlive: typed("boolean"),
  autoSelectFamily: typed("boolean"),
  autoSelectFamilyAttemptDelay: duration,
  ioTimeout: positiveDuration,
};

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
  checkOptions(options, RULES, "create a TCP connector", ["port"]);
  const { noDelay = true, keepAlive = true, ioTimeout, ...connectOptions } = options;
  return socketConnector(async ({ signal }) => {
    const conn = await Deno.connect({ ...connectOptions, signal });
    try {
      conn.setNoDelay(noDelay);
      conn.setKeepAlive(keepAlive);
      return conn;
    } catch (error) {
      conn.close(); // the peer has reset it already
      throw error;
    }
  }, ioTimeout);
}
