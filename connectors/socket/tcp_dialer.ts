import {
  duration,
  nonEmptyString,
  oneOf,
  port,
  positiveDuration,
  type Rule,
  typed,
} from "../../internal/validate.ts";

/** What a TCP connection is opened by. */
export interface TcpDialOptions {
  port: number;
  hostname?: string;
  transport?: Deno.NetAddr["transport"];
  noDelay?: boolean;
  keepAlive?: boolean;
  autoSelectFamily?: boolean;
  autoSelectFamilyAttemptDelay?: number;
  ioTimeout?: number | undefined;
}

export const TCP_RULES: Record<keyof TcpDialOptions, Rule> = {
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
  { noDelay = true, keepAlive = true, ioTimeout: _i, transport: _t, ...options }: TcpDialOptions,
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
