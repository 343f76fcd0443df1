import {
  duration,
  nonEmptyString,
  oneOf,
  port,
  positiveDuration,
  type Rule,
  typed,
} from "../internal/validate.ts";
import type { TcpOptions } from "./tcp.ts";

export const TCP_RULES: Record<keyof TcpOptions, Rule> = {
  port,
  hostname: nonEmptyString,
  transport: oneOf("tcp"),
  noDelay: typed("boolean"),
  keepAlive: typed("boolean"),
  autoSelectFamily: typed("boolean"),
  autoSelectFamilyAttemptDelay: duration,
  ioTimeout: positiveDuration,
};

/** Opens a TCP connection, its options set. */
export async function connectTcp(
  { noDelay = true, keepAlive = true, ioTimeout: _i, transport: _t, ...options }: TcpOptions,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  const conn = await Deno.connect({ ...options, signal });
  try {
    conn.setNoDelay(noDelay);
    conn.setKeepAlive(keepAlive);
    return conn;
  } catch (error) {
    conn.close(); // the peer has reset it already
    throw error;
  }
}
