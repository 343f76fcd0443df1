/**
 * Unix domain sockets.
 *
 * @module
 */

import {
  checkOptions,
  nonEmptyString,
  oneOf,
  positiveDuration,
  type Rule,
} from "../internal/validate.ts";
import { socketConnector } from "./_socket_connector.ts";
import { Socket, type SocketConnector, SocketLease, type SocketOptions } from "./socket.ts";

/** Options of {@linkcode unix}. */
export interface UnixOptions extends SocketOptions {
  /** The path of the socket. */
  path: string;
  /** As in a listener's `Deno.UnixAddr`: `"unix"`, nothing else will do. */
  transport?: Deno.UnixAddr["transport"];
}

const RULES: Record<keyof UnixOptions, Rule> = {
  path: nonEmptyString,
  transport: oneOf("unix"),
  ioTimeout: positiveDuration,
};

/**
 * Connects to a Unix domain socket. The lease is a `Deno.Conn`.
 *
 * Needs the permission `--allow-net=unix:PATH` or `--allow-net`, and
 * `--allow-read` and `--allow-write` for the path. Not available on Windows.
 *
 * @param options Where to, and how.
 * @returns A connector for a pool.
 * @throws {TypeError} If an option is missing, unknown or of the wrong type.
 * @throws {RangeError} If an option is out of range.
 *
 * @example
 * ```ts
 * import { Pool, unix } from "@x/sockpool";
 *
 * await using docker = new Pool(unix({ path: "/var/run/docker.sock" }));
 * ```
 */
export function unix(options: UnixOptions): SocketConnector<Deno.UnixAddr> {
  checkOptions(options, RULES, "create a Unix connector", ["path"]);
  const { path, ioTimeout } = options;
  // Deno heeds no signal here; a connection that comes too late is closed by the pool.
  return socketConnector(
    async () => new Socket(await Deno.connect({ transport: "unix", path }), { ioTimeout }),
    SocketLease<Deno.UnixAddr>,
    `unix:${path}`,
  );
}
