import type { ConnectContext, ConnectorContext } from "../../pool/connector.ts";
import { type Permit, Semaphore } from "../../pool/semaphore.ts";

/** A connection that is ready to be used. */
export interface Established {
  readonly conn: Deno.TlsConn;
  readonly info: Deno.TlsHandshakeInfo;
}

/** How to open a connection before its handshake. */
export interface Route {
  open(signal: AbortSignal): Promise<Deno.TlsConn>;
  /** Whether `open` stops at the signal. */
  readonly stopsAtSignal: boolean;
}

/** A permit that was granted to a dial which has not begun. */
interface Reservation {
  readonly permit: Permit;
  /** The signal of the dial that it was granted to. */
  readonly signal: AbortSignal;
  /** Whether that very dial has taken it, or has given it back. */
  isOver: boolean;
}

/**
 * The dials of a TLS connector, of which only so many may be under way. Nothing
 * that Deno has frees a connection before its handshake is over: when that is
 * closed, the system keeps the socket for as long as the peer is silent, and
 * nobody learns of its end. So a dial that is given up *lingers*: its handshake
 * goes on with nobody waiting for it, until the peer answers, hangs up or is
 * found dead, and the socket is closed then. That is what makes it possible to
 * count them and to bound them.
 */
export class TlsDialer {
  readonly #permits: Semaphore;
  readonly #reserved: Reservation[] = [];
  /** Aborted when only abandoned dials are left: those that wait for one are refused. */
  #stuck = new AbortController();
  #lingering = 0;

  constructor(limit: number) {
    this.#permits = new Semaphore(limit);
  }

  /** The number of abandoned dials that still hold their sockets. */
  get lingering(): number {
    return this.#lingering;
  }

  /**
   * Grants a permit to the dial with the same signal, or else to one that has none. A
   * release frees it for others, unless its dial has taken it, which frees it itself.
   */
  async admit({ signal }: ConnectorContext): Promise<Permit> {
    const reservation = { permit: await this.#waitForLeave(signal), signal, isOver: false };
    this.#reserved.push(reservation);
    const release = () => {
      if (reservation.isOver) return;
      reservation.isOver = true;
      this.#takeReserved(reservation)?.permit.release();
    };
    return { release, [Symbol.dispose]: release };
  }

  /** Opens a connection and awaits its handshake, unless the signal is aborted. */
  async run(route: Route, { signal, closed }: ConnectContext): Promise<Established> {
    const own = this.#reserved.find((reserved) => reserved.signal === signal);
    if (own !== undefined) own.isOver = true;
    const permit = this.#takeReserved(own)?.permit ?? await this.#waitForLeave(signal);
    if (signal.aborted) {
      permit.release();
      throw signal.reason;
    }
    const handshake = new Handshake(route.open(signal));
    return await new Promise((resolve, reject) => {
      const giveUp = () => {
        if (handshake.isOver) return;
        reject(signal.reason);
        this.#linger(handshake, closed);
      };
      const onAbort = () => {
        // A dial that stops at its signal is abandoned only if it is too late for that.
        if (route.stopsAtSignal && handshake.isOpening) handshake.opened.then(giveUp, () => {});
        else giveUp();
      };
      signal.addEventListener("abort", onAbort, { once: true });
      handshake.done.then(resolve, reject).finally(() => {
        signal.removeEventListener("abort", onAbort);
        permit.release();
      });
    });
  }

  /** Takes this reservation, or the oldest: another dial may have taken this one. */
  #takeReserved(wanted: Reservation | undefined): Reservation | undefined {
    const index = this.#reserved.findIndex((reserved) => reserved === wanted);
    return this.#reserved.splice(Math.max(0, index), 1)[0];
  }

  #waitForLeave(signal: AbortSignal): Promise<Permit> {
    return this.#permits.acquire({ signal: AbortSignal.any([signal, this.#stuck.signal]) });
  }

  #count(change: 1 | -1): void {
    const limit = this.#permits.permits;
    const wasStuck = this.#lingering === limit;
    this.#lingering += change;
    if (wasStuck) this.#stuck = new AbortController();
    if (this.#lingering < limit) return;
    this.#stuck.abort(
      new Deno.errors.Busy(
        `Cannot dial as ${limit} TLS handshakes that were given up still hold their sockets: ` +
          "the peer neither answers nor hangs up",
      ),
    );
  }

  /** Abandons the dial: it is counted until it ends, or the pool is closed. */
  #linger(handshake: Handshake, closed: AbortSignal | undefined): void {
    const abandon = () => handshake.abandon();
    this.#count(1);
    // It may be closed already: abandoned in the moment in which its handshake ended.
    handshake.done.then(({ conn }) => conn[Symbol.dispose](), () => {}).finally(() => {
      this.#count(-1);
      closed?.removeEventListener("abort", abandon);
    });
    if (closed?.aborted) abandon();
    else closed?.addEventListener("abort", abandon, { once: true });
  }
}

/** One dial, from its start to the end of its handshake. */
class Handshake {
  readonly opened: Promise<Deno.TlsConn>;
  /** Settles when the system has no operation in flight. If it rejects, the connection is closed. */
  readonly done: Promise<Established>;
  #conn: Deno.TlsConn | undefined;
  #state: "running" | "abandoned" | "over" = "running";

  constructor(opened: Promise<Deno.TlsConn>) {
    this.opened = opened;
    this.done = this.#perform();
  }

  get isOpening(): boolean {
    return this.#conn === undefined;
  }

  get isOver(): boolean {
    return this.#state === "over";
  }

  /** Leaves the rest to the system; the end of the connection will not be noticed. */
  abandon(): void {
    if (this.isOver) return;
    this.#state = "abandoned";
    this.#conn?.[Symbol.dispose]();
  }

  async #perform(): Promise<Established> {
    try {
      const conn = this.#conn = await this.opened;
      if (this.#state === "abandoned") throw new Deno.errors.Interrupted("The pool is closed");
      return { conn, info: await conn.handshake() };
    } catch (error) {
      this.#conn?.[Symbol.dispose]();
      throw error;
    } finally {
      this.#state = "over";
    }
  }
}
