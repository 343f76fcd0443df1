/** What comes between a dial and the first request: logins, and upgrades of the connection. */

import {
  type Connector,
  type Lease,
  Socket,
  type SocketConnector,
  type SocketOptions,
  tcp,
  tls,
  type TlsConnector,
  TlsSocket,
} from "@x/sockpool";

/** A connector that logs in before a connection is lent. */
export function loggingIn<S extends Socket, L extends Lease<S>>(
  inner: Connector<S, L>,
  init: (socket: S, context: { signal: AbortSignal }) => Promise<unknown>,
): Connector<S, L> {
  return {
    ...inner,
    async connect(context) {
      const socket = await inner.connect(context);
      return await abortable(socket, context.signal, () => init(socket, context));
    },
  };
}

/** Does something with a connection that is closed if that fails or is aborted. */
async function abortable<C extends { close(): void }, R>(
  conn: C,
  signal: AbortSignal,
  action: () => Promise<R>,
): Promise<C> {
  let isClosed = false;
  const close = () => {
    if (!isClosed) conn.close();
    isClosed = true;
  };
  signal.addEventListener("abort", close);
  try {
    await action();
    return conn;
  } catch (error) {
    close();
    throw error;
  } finally {
    signal.removeEventListener("abort", close);
  }
}

/** What is said on a plain connection before it is what was asked for. */
export type Negotiate = (conn: Deno.TcpConn) => Promise<void>;

export interface NegotiatedOptions extends SocketOptions {
  port: number;
}

/** Connects by TCP, to a proxy for example, and has the connection negotiated. */
export function negotiated(
  negotiate: Negotiate,
  options: NegotiatedOptions,
): SocketConnector<Deno.NetAddr> {
  return {
    ...tcp(options),
    connect: async ({ signal }) => new Socket(await dial(negotiate, options, signal), options),
  };
}

/** The same, and then TLS: STARTTLS, or TLS through a proxy. */
export function negotiatedTls(
  negotiate: Negotiate,
  options: NegotiatedOptions & { caCerts: string[] },
): TlsConnector {
  const { caCerts } = options;
  return {
    ...tls(options),
    async connect({ signal }) {
      const plain = await dial(negotiate, options, signal);
      const conn = await Deno.startTls(plain, { hostname: "localhost", caCerts });
      let info: Deno.TlsHandshakeInfo;
      await abortable(conn, signal, async () => info = await conn.handshake());
      return new TlsSocket(conn, info!, options);
    },
  };
}

async function dial(
  negotiate: Negotiate,
  { port }: NegotiatedOptions,
  signal: AbortSignal,
): Promise<Deno.TcpConn> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port, signal });
  conn.setNoDelay(true);
  return await abortable(conn, signal, () => negotiate(conn));
}
