/**
 * TLS.
 *
 * @module
 */

import {
  checkOptions,
  countFrom,
  nonEmptyString,
  nonEmptyStrings,
  pem,
  type Rule,
  shown,
} from "../internal/validate.ts";
import type { Connector } from "../pool/connector.ts";
import { LeaseReleasedError } from "../pool/errors.ts";
import { nameOf } from "./_dial_error.ts";
import { socketConnector } from "./_socket_connector.ts";
import { Socket, type SocketConn, SocketLease, type SocketOptions } from "./socket.ts";
import { connectTcp, TCP_RULES } from "./socket/tcp_dialer.ts";
import { type Route, TlsDialer } from "./socket/tls_dialer.ts";
import type { TcpOptions } from "./tcp.ts";

/** Options of {@linkcode tls}: those of TCP, and of the handshake. */
export interface TlsOptions extends TcpOptions {
  /**
   * The name that the server's certificate must be for, if it is not the
   * `hostname`. It is also what the server is told (SNI), unless it is an address.
   *
   * @default {hostname}
   */
  serverName?: string;
  /** Certificates of authorities to be trusted besides Deno's own, in PEM format. */
  caCerts?: string[];
  /** Application protocols to offer, the best first (ALPN). The lease's `alpnProtocol` says which was chosen. */
  alpnProtocols?: string[];
  /**
   * The client's certificate, in PEM format, with its `key`. Deno takes one only
   * where it opens the connection itself; see {@linkcode tls} for what that costs.
   */
  cert?: string;
  /** The private key of `cert`, in PEM format. */
  key?: string;
  /**
   * How many dials may be under way at once, counting those that were given up
   * and whose sockets the system can't free yet. If only such are left, a dial
   * is refused at once.
   *
   * @default {16}
   */
  maxLingering?: number;
}

/** A connector to a TLS server. Its leases are `Deno.TlsConn`s. */
export type TlsConnector = Connector<TlsSocket, TlsLease>;

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

// Far from the 256 files that a process may open where least are allowed, and
// more dialer than a core can work at in the time of one round trip.
const MAX_LINGERING = 16;

const encoder = new TextEncoder();

const RULES: Record<keyof TlsOptions, Rule> = {
  ...TCP_RULES,
  serverName: hostName,
  caCerts: nonEmptyStrings,
  alpnProtocols: protocolNames,
  cert: pem,
  key: pem,
  maxLingering: countFrom(1),
};

/** What a certificate may be for, as far as can be told by its form. */
function hostName(value: unknown, name: string, subject: string): void {
  nonEmptyString(value, name, subject);
  if (/^[\w.:-]{1,253}$/.test(value as string)) return;
  throw new TypeError(
    `Cannot ${subject} as '${name}' must be a host name or an IP address: received ${shown(value)}`,
  );
}

/** Each is sent with its length in a single byte (RFC 7301). */
function protocolNames(value: unknown, name: string, subject: string): void {
  nonEmptyStrings(value, name, subject);
  for (const protocol of value as string[]) {
    if (encoder.encode(protocol).length <= 255) continue;
    throw new RangeError(
      `Cannot ${subject} as '${name}' must be names of at most 255 bytes: received ${
        shown(protocol)
      }`,
    );
  }
}

const SUBJECT = "create a TLS connector";

/** What can't be had together with a client certificate. */
const UNAVAILABLE = ["serverName", "noDelay", "keepAlive"] as const;

/**
 * Connects to a TLS server. The lease is a `Deno.TlsConn` whose handshake is
 * done: a bad certificate rejects the `acquire`, with `Deno.errors.InvalidData`,
 * and is not tried again.
 *
 * Deno can't free a connection whose handshake is not over: one that is given up
 * because the peer is silent lingers until the peer speaks, hangs up or is found
 * dead. `stats.lingering` counts those, `maxLingering` bounds them: beyond it a
 * dial is refused with `Deno.errors.Busy`, which may be tried again. While it
 * lingers it keeps the process alive, unless the pool is closed.
 *
 * A client certificate (`cert` and `key`) has limits, for Deno takes one only in
 * `Deno.connectTls`: no `serverName`, no `noDelay` and no `keepAlive` besides;
 * and connecting can't be aborted, so that a dial to a host that does not answer
 * lingers too. As small writes may be held back for 40 ms then, send each
 * request in one `writeAll`. A server that refuses the certificate mostly says so
 * after the handshake (TLS 1.3): not to `acquire` but to the first read.
 *
 * Needs the permission `--allow-net` for the host.
 *
 * @param options Where to, whom to trust, and how.
 * @returns A connector for a pool.
 * @throws {TypeError} If an option is missing, unknown, of the wrong type, or can't be had with another; or if a
 * certificate or key can't be understood.
 * @throws {RangeError} If an option is out of range.
 *
 * @example
 * ```ts
 * import { Pool, tls } from "@x/sockpool";
 *
 * await using mail = new Pool(
 *   tls({ hostname: "10.0.0.5", port: 993, serverName: "mail.example.com" }),
 *   { maxSize: 10 },
 * );
 * ```
 */
export function tls(options: TlsOptions): TlsConnector {
  checkOptions(options, RULES, SUBJECT, ["port"]);
  const { ioTimeout, maxLingering = MAX_LINGERING } = options;
  const keyPair = keyPairOf(options);
  checkCertificates(options, keyPair);
  const dialer = new TlsDialer(maxLingering);
  const route = keyPair === undefined ? upgrading(options) : certified(options, keyPair);
  const connector = socketConnector(
    async (context) => {
      const { conn, info } = await dialer.run(route, context);
      return new TlsSocket(conn, info, { ioTimeout });
    },
    TlsLease,
    nameOf("tls", hostOf(options), options.port),
  );
  return { ...connector, lingering: () => dialer.lingering };
}

interface KeyPair {
  cert: string;
  key: string;
}

function keyPairOf({ cert, key }: TlsOptions): KeyPair | undefined {
  if (cert !== undefined && key !== undefined) return { cert, key };
  if (cert === undefined && key === undefined) return undefined;
  throw new TypeError(`Cannot ${SUBJECT} as 'cert' and 'key' must be given together`);
}

/** Refuses now, and not at each dial, what can't be understood. */
function checkCertificates({ caCerts = [] }: TlsOptions, keyPair: KeyPair | undefined): void {
  for (const cert of caCerts) pem(cert, "caCerts", SUBJECT);
  try {
    Deno.createHttpClient({ caCerts, ...keyPair }).close();
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    throw new TypeError(
      `Cannot ${SUBJECT} as 'caCerts', 'cert' and 'key' must be valid: ${reason}`,
      { cause: error },
    );
  }
}

/** Opens a TCP connection, and makes a TLS connection of it. */
function upgrading(options: TlsOptions): Route {
  const { serverName, caCerts = [], alpnProtocols = [], maxLingering: _, ...tcpOptions } = options;
  const tlsOptions = { hostname: serverName ?? hostOf(options), caCerts, alpnProtocols };
  const open = async (signal: AbortSignal) => {
    const conn = await connectTcp(tcpOptions, signal);
    try {
      signal.throwIfAborted();
      return await Deno.startTls(conn, tlsOptions);
    } catch (error) {
      conn[Symbol.dispose](); // it may have been used up
      throw error;
    }
  };
  return { open, heedsSignal: true };
}

/** Has Deno open the TLS connection, the only way to give a client certificate. */
function certified(options: TlsOptions, keyPair: KeyPair): Route {
  for (const name of UNAVAILABLE) {
    if (options[name] === undefined) continue;
    throw new TypeError(
      `Cannot ${SUBJECT} as '${name}' must be absent where 'cert' is given: received ` +
        shown(options[name]),
    );
  }
  const connectOptions = { ...options, ...keyPair, hostname: hostOf(options) };
  return { open: () => Deno.connectTls(connectOptions), heedsSignal: false };
}

/** The host. An IPv6 address may stand in brackets; in a certificate it does not. */
function hostOf({ hostname = "127.0.0.1" }: TlsOptions): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}
