import type { ConnectContext } from "../../pool/connector.ts";
import { Semaphore } from "../../pool/semaphore.ts";

/** A connection that is ready to be used. */
export interface Established {
  readonly conn: Deno.TlsConn;
  readonly info: Deno.TlsHandshakeInfo;
}

/** How a connection is opened whose handshake is then to be done. */
export interface Route {
  open(signal: AbortSignal): Promise<Deno.TlsConn>;
  /** Whether `open` stops at the signal. */
  readonly heedsSignal: boolean;
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
  #lingering = 0;

  constructor(limit: number) {
    this.#permits = new Semaphore(limit);
  }

  /** How many were given up and hold their sockets still. */
  get lingering(): number {
    return this.#lingering;
  }

  /** Opens a connection and sees its handshake through, unless the signal says to give up. */
  async run(route: Route, { signal, closed }: ConnectContext): Promise<Established> {
    this.#refuseIfFull();
    const permit = await this.#permits.acquire({ signal });
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
        // What is about to stop by itself is given up only if it is too late for that.
        if (route.heedsSignal && handshake.isOpening) handshake.opened.then(giveUp, () => {});
        else giveUp();
      };
      signal.addEventListener("abort", onAbort, { once: true });
      handshake.done.then(resolve, reject).finally(() => {
        signal.removeEventListener("abort", onAbort);
        permit.release();
      });
    });
  }

  #refuseIfFull(): void {
    if (this.#lingering < this.#permits.permits) return;
    throw new Deno.errors.Busy(
      `Cannot dial as ${this.#lingering} TLS handshakes that were given up still hold their ` +
        "sockets: the peer neither answers nor hangs up",
    );
  }

  /** Nobody waits for it any more: it is counted until it is over, or the pool is. */
  #linger(handshake: Handshake, closed: AbortSignal | undefined): void {
    const abandon = () => handshake.abandon();
    this.#lingering++;
    handshake.done.then(({ conn }) => conn.close(), () => {}).finally(() => {
      this.#lingering--;
      closed?.removeEventListener("abort", abandon);
    });
    if (closed?.aborted) abandon();
    else closed?.addEventListener("abort", abandon, { once: true });
  }
}

/** One dial, from its start to the end of its handshake. */
class Handshake {
  readonly opened: Promise<Deno.TlsConn>;
  /** Settles when the system has nothing under way any more. If it rejects, the connection is closed. */
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

  /** Leaves the rest to the system: nobody will know what becomes of the connection. */
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
