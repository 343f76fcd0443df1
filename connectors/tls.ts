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
  typed,
} from "../internal/validate.ts";
import type { Connector, ConnectorContext } from "../pool/connector.ts";
import { LeaseReleasedError } from "../pool/errors.ts";
import { checkRuntime } from "./_dial_error.ts";
import { socketConnector } from "./_socket_connector.ts";
import {
  connectionOf,
  type OptionSource,
  type ReadOptions,
  Socket,
  type SocketConn,
  type SocketConnectorOptions,
  SocketLease,
  type SocketOptions,
} from "./socket.ts";
import {
  orFunctions,
  type Resolved,
  resolveSources,
  SOCKET_RULES,
  TCP_RULES,
  TCP_SOURCE_RULES,
} from "./socket/options.ts";
import { bare, dialTcp, naming, negotiate, placeOf, staticPlace } from "./socket/tcp_dialer.ts";
import { type Route, TlsDialer } from "./socket/tls_dialer.ts";
import type { TcpDialOptions } from "./tcp.ts";

/** What {@linkcode tls} does to open a connection. */
export interface TlsDialOptions extends TcpDialOptions {
  /**
   * The name that the server's certificate must be for, if it is not the
   * `hostname`. It is also what the server is told (SNI), unless it is an address.
   *
   * @default {hostname}
   */
  serverName?: OptionSource<string> | undefined;
  /** Certificates of authorities to be trusted in addition to Deno's own, in PEM format. */
  caCerts?: OptionSource<string[]> | undefined;
  /** Application protocols to offer, the best first (ALPN). The lease's `alpnProtocol` says which was chosen. */
  alpnProtocols?: OptionSource<string[]> | undefined;
  /**
   * The client's certificate, in PEM format, with its `key`. Deno takes one only
   * where it opens the connection itself; see {@linkcode tls} for what that costs.
   */
  cert?: OptionSource<string> | undefined;
  /** The private key of `cert`, in PEM format. */
  key?: OptionSource<string> | undefined;
  /**
   * How many dials may be under way at once, counting those that were given up
   * and whose sockets the system can't free yet. If only such are left, a dial
   * is refused at once.
   *
   * @default {16}
   */
  maxLingering?: number | undefined;
  /**
   * The plain-text exchange before the handshake, such as `STARTTLS`. It is
   * part of the dial. A throw, and bytes left unread, which may have been injected,
   * fail the dial.
   */
  beforeTls?: ((conn: Socket<Deno.NetAddr>, context: ConnectorContext) => unknown) | undefined;
}

/**
 * Options of {@linkcode tls}: those of TCP, and of the handshake. Those that may
 * change can be functions, asked at each dial.
 *
 * @typeParam State What `init` gives.
 */
export interface TlsOptions<State = undefined>
  extends TlsDialOptions, SocketConnectorOptions<TlsSocket, TlsSocket<State>, State> {}

/**
 * A connector to a TLS server. Its leases are `Deno.TlsConn`s.
 *
 * @typeParam State What its `init` gives.
 */
export type TlsConnector<State = undefined> = Connector<TlsSocket<State>, TlsLease<State>>;

/** A `Deno.TlsConn` that can also read and write whole messages. Its handshake is done. */
export interface TlsSocketConn extends SocketConn<Deno.NetAddr>, Deno.TlsConn {
  /** The application protocol that the handshake settled on (ALPN), or null. */
  readonly alpnProtocol: string | null;

  /** Reads as many bytes as there are, and fit; null at the end. See {@linkcode SocketConn.read}. */
  read(target: Uint8Array, options?: ReadOptions): Promise<number | null>;
}

/**
 * The resource in a pool of TLS connections: a {@linkcode Socket} that knows how its handshake ended.
 *
 * @typeParam State What the connector's `init` has given.
 */
export class TlsSocket<State = undefined> extends Socket<Deno.NetAddr, State>
  implements TlsSocketConn {
  /** The application protocol that the handshake settled on (ALPN), or null. */
  readonly alpnProtocol: string | null;

  /** Takes charge of a connection whose handshake is done, and ended so. */
  constructor(conn: Deno.TlsConn, info: Deno.TlsHandshakeInfo, options: SocketOptions = {}) {
    super(conn, { ...options, flushesBeforeClose: true } as SocketOptions);
    this.alpnProtocol = info.alpnProtocol;
  }

  /** How the handshake ended, for what takes a `Deno.TlsConn`: it was done at the dial. */
  handshake(): Promise<Deno.TlsHandshakeInfo> {
    return Promise.resolve({ alpnProtocol: this.alpnProtocol });
  }
}

/**
 * A lease on a TLS connection, which is itself a `Deno.TlsConn`. See {@linkcode SocketLease}.
 *
 * @typeParam State What the connector's `init` gives.
 */
export class TlsLease<State = undefined> extends SocketLease<Deno.NetAddr, State, TlsSocket<State>>
  implements TlsSocketConn {
  /** The application protocol that the handshake settled on (ALPN), or null. */
  get alpnProtocol(): string | null {
    return this.value.alpnProtocol;
  }

  /** How the handshake ended, for what takes a `Deno.TlsConn`: it was done at the dial. */
  handshake(): Promise<Deno.TlsHandshakeInfo> {
    return this.ended ? Promise.reject(new LeaseReleasedError()) : this.value.handshake();
  }
}

// Well below the lowest usual limit of 256 open files, and more handshakes than a core
// can compute in one round trip.
const MAX_LINGERING = 16;

const encoder = new TextEncoder();

const SOURCE_RULES = {
  ...TCP_SOURCE_RULES,
  serverName: hostName,
  caCerts: certificates,
  alpnProtocols: protocolNames,
  cert: pem,
  key: pem,
};

const RULES: Record<keyof TlsOptions, Rule> = {
  ...SOCKET_RULES,
  ...TCP_RULES,
  ...orFunctions(SOURCE_RULES),
  beforeTls: typed("function"),
  maxLingering: countFrom(1),
};

/** Whether the form allows a certificate for it. */
function hostName(value: unknown, name: string, subject: string): void {
  nonEmptyString(value, name, subject);
  if (/^[\w.:-]{1,253}$/.test(value as string)) return;
  throw new TypeError(
    `Cannot ${subject} as '${name}' must be a host name or an IP address: received ${shown(value)}`,
  );
}

/** Certificates in PEM format. */
function certificates(value: unknown, name: string, subject: string): void {
  nonEmptyStrings(value, name, subject);
  for (const each of value as string[]) pem(each, name, subject);
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

/** The options that cannot be combined with a client certificate. */
const UNAVAILABLE = ["serverName", "noDelay", "keepAlive", "proxy", "beforeTls"] as const;

/**
 * Connects to a TLS server. The lease is a `Deno.TlsConn` whose handshake is
 * done: a bad certificate rejects the `acquire`, with `Deno.errors.InvalidData`,
 * and is not tried again.
 *
 * Deno can't free a connection whose handshake is not over: one that is given up
 * because the peer is silent lingers until the peer speaks, hangs up or is found
 * dead. `stats.lingering` counts those, `maxLingering` bounds them: beyond it a
 * dial is refused with `Deno.errors.Busy`, which may be tried again. While it
 * lingers it keeps the process alive, unless the pool is closed. A dial that has
 * to wait for others does not use up its `connectTimeout`.
 *
 * A client certificate (`cert` and `key`) has limits, for Deno takes one only in
 * `Deno.connectTls`: `serverName`, `noDelay`, `keepAlive`, `proxy` and `beforeTls`
 * can't be combined with it, and connecting can't be aborted, so that a dial to a host that does not answer
 * lingers too. As small writes may be held back for 40 ms then, send each
 * request in one `writeAll`. A server that refuses the certificate mostly says so
 * after the handshake (TLS 1.3): not to `acquire` but to the first read.
 *
 * Needs the permission `--allow-net` for the host, or for the proxy instead.
 *
 * @typeParam State What `init` gives: the `state` of each lease.
 * @param options Where to, whom to trust, and how.
 * @returns A connector for a pool.
 * @throws {TypeError} If an option is missing, unknown, of the wrong type, or can't be had with another; or if a
 * certificate or key can't be understood.
 * @throws {RangeError} If an option is out of range.
 * @throws {Deno.errors.NotSupported} If Deno is older than 2.9.
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
export function tls<State = undefined>(options: TlsOptions<State>): TlsConnector<State> {
  checkOptions(options, RULES, SUBJECT, ["port"]);
  checkRuntime(SUBJECT);
  const given = { ...options };
  checkCertificates(given);
  const dialer = new TlsDialer(given.maxLingering ?? MAX_LINGERING);
  const openRoute = given.cert === undefined ? upgrading : certified(given);
  const place = staticPlace("tls", given);
  const connector = socketConnector({
    place,
    options: given,
    LeaseType: TlsLease<State>,
    connect: async (context) => {
      const { signal } = context;
      const route = await resolveSources<TlsDialOptions>(given, SOURCE_RULES, "dial", context);
      const place = placeOf("tls", route);
      const dial = () => dialer.run(openRoute(route, place), context);
      const { conn, info } = await naming(place, signal, dial);
      return { socket: new TlsSocket<State>(conn, info, given), place };
    },
  });
  connector.admit = (context) => naming(place, context.signal, () => dialer.admit(context));
  connector.lingering = () => dialer.lingering;
  return connector;
}

/** Refuses an invalid certificate or key now, not at each dial. */
function checkCertificates({ caCerts = [], cert, key }: TlsDialOptions): void {
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError(`Cannot ${SUBJECT} as 'cert' and 'key' must be given together`);
  }
  const keyPair = typeof cert === "string" && typeof key === "string" ? { cert, key } : {};
  try {
    const authorities = typeof caCerts === "function" ? [] : caCerts;
    Deno.createHttpClient({ caCerts: authorities, ...keyPair }).close();
  } catch (error) {
    const reason = error instanceof Error ? error.message : error;
    throw new TypeError(
      `Cannot ${SUBJECT} as 'caCerts', 'cert' and 'key' must be valid: ${reason}`,
      { cause: error },
    );
  }
}

/** Opens a TCP connection and upgrades it to TLS. */
function upgrading(route: Resolved<TlsDialOptions>, place: string): Route {
  const { hostname = "127.0.0.1", serverName, caCerts = [], alpnProtocols = [] } = route;
  const { beforeTls } = route as TlsDialOptions;
  const tlsOptions = { hostname: serverName ?? bare(hostname), caCerts, alpnProtocols };
  const open = async (signal: AbortSignal) => {
    const wrap = (conn: Deno.TcpConn) => new Socket<Deno.NetAddr>(conn);
    const socket = await dialTcp(route, place, signal, wrap);
    await negotiate(socket, signal, async () => {
      await beforeTls?.call(route, socket, { signal });
      connectionOf(socket).assertFit("beforeTls");
    });
    const conn = connectionOf(socket).surrender() as Deno.TcpConn;
    try {
      return await Deno.startTls(conn, tlsOptions);
    } catch (error) {
      conn[Symbol.dispose](); // it may have been used up
      throw error;
    }
  };
  return { open, stopsAtSignal: true };
}

/** Opens the connection by `Deno.connectTls`, the only way to use a client certificate. */
function certified(options: TlsDialOptions): (route: Resolved<TlsDialOptions>) => Route {
  for (const name of UNAVAILABLE) {
    if (options[name] === undefined) continue;
    throw new TypeError(
      `Cannot ${SUBJECT} as '${name}' must be absent where 'cert' is given: received ` +
        (name === "proxy" ? "a proxy" : shown(options[name])),
    );
  }
  return ({ hostname = "127.0.0.1", port, cert, key, caCerts, alpnProtocols }) => {
    const given = { hostname: bare(hostname), port, cert, key, caCerts, alpnProtocols };
    const open = () => Deno.connectTls(given as Deno.ConnectTlsOptions & Deno.TlsCertifiedKeyPem);
    return { open, stopsAtSignal: false };
  };
}
