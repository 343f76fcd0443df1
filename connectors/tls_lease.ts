/**
 * The lease on a TLS connection.
 *
 * @module
 */

import { LeaseReleasedError } from "../pool/errors.ts";
import { SocketLease } from "./socket_lease.ts";
import type { TlsSocket, TlsSocketConn } from "./tls_socket.ts";

/** A lease on a TLS connection, which is itself a `Deno.TlsConn`. See {@linkcode SocketLease}. */
export class TlsLease extends SocketLease<Deno.NetAddr, TlsSocket> implements TlsSocketConn {
  /** The application protocol that the handshake settled on (ALPN), or null. */
  get alpnProtocol(): string | null {
    return this.value.alpnProtocol;
  }

  /** How the handshake ended, for whatever takes a `Deno.TlsConn`: it was done at the dial. */
  handshake(): Promise<Deno.TlsHandshakeInfo> {
    return this.ended ? Promise.reject(new LeaseReleasedError()) : this.value.handshake();
  }
}
