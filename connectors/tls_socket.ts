/**
 * The resource in a pool of TLS connections.
 *
 * @module
 */

import { Socket, type SocketConn, type SocketOptions } from "./socket.ts";

/** A `Deno.TlsConn` that can also read and write whole messages. Its handshake is done. */
export interface TlsSocketConn extends SocketConn<Deno.NetAddr>, Deno.TlsConn {
  /** The application protocol that the handshake settled on (ALPN), or null. */
  readonly alpnProtocol: string | null;
}

/** The resource in a pool of TLS connections: a {@linkcode Socket} that knows how its handshake ended. */
export class TlsSocket extends Socket<Deno.NetAddr> implements TlsSocketConn {
  /** The application protocol that the handshake settled on (ALPN), or null. */
  readonly alpnProtocol: string | null;

  /** Takes charge of a connection whose handshake is done, and ended so. */
  constructor(conn: Deno.TlsConn, info: Deno.TlsHandshakeInfo, options?: SocketOptions) {
    super(conn, options);
    this.alpnProtocol = info.alpnProtocol;
  }

  /** How the handshake ended, for whatever takes a `Deno.TlsConn`: it was done at the dial. */
  handshake(): Promise<Deno.TlsHandshakeInfo> {
    return Promise.resolve({ alpnProtocol: this.alpnProtocol });
  }
}
