import { eventLoopLag, type TurnSource } from "../../internal/event_loop_lag.ts";

const HOSTNAME = "127.0.0.1";
const BYTE = new Uint8Array(1);

/** Other programs on this machine may connect to the port while it is open. */
const ACCEPT_ATTEMPTS = 8;

/** A connection of this program with itself, opened when it is first needed. */
class LoopbackPair {
  #state: "opening" | "open" | "closed" = "opening";
  readonly #parts: Disposable[] = [];
  readonly #ends: Promise<[reader: Deno.TcpConn, writer: Deno.TcpConn]>;

  constructor() {
    this.#ends = this.#open();
    this.#ends.catch(() => {}); // users of the pair get the error
  }

  /** A read that is begun before its byte is written resolves only after the loop has polled the system. */
  async turn(): Promise<void> {
    const [reader, writer] = await this.#ends;
    const read = reader.read(new Uint8Array(1));
    writer.write(BYTE).catch(() => this.close());
    if (await read !== 1) throw new Deno.errors.UnexpectedEof("The loopback pair has ended");
  }

  /** Closes the open ends at once, and ends that are being opened later. */
  close(): Promise<void> | undefined {
    const wasOpening = this.#state === "opening";
    this.#state = "closed";
    for (const part of this.#parts) part[Symbol.dispose]();
    return wasOpening ? this.#ends.then(() => {}, () => {}) : undefined;
  }

  async #open(): Promise<[Deno.TcpConn, Deno.TcpConn]> {
    const listener = this.#keep(Deno.listen({ hostname: HOSTNAME, port: 0 }));
    const { port } = listener.addr;
    const writer = this.#keep(await Deno.connect({ hostname: HOSTNAME, port }));
    writer.setNoDelay(true);
    const reader = await this.#accept(listener, writer.localAddr.port);
    listener[Symbol.dispose]();
    if (this.#state === "opening") this.#state = "open";
    return [reader, writer];
  }

  /** Accepts the connection that comes from our own port. */
  async #accept(listener: Deno.TcpListener, port: number): Promise<Deno.TcpConn> {
    for (let attempt = 0; attempt < ACCEPT_ATTEMPTS; attempt++) {
      const conn = this.#keep(await listener.accept());
      if (conn.remoteAddr.port === port) return conn;
      conn.close();
    }
    throw new Deno.errors.ConnectionRefused("Others keep connecting to the loopback pair");
  }

  #keep<P extends Disposable>(part: P): P {
    this.#parts.push(part);
    if (this.#state === "closed") part[Symbol.dispose]();
    return part;
  }
}

/**
 * Has the event loop turn by way of a loopback connection. That takes a fifth of
 * a millisecond; two timers take more than four.
 *
 * It needs the permission to connect to 127.0.0.1. That is looked up, and never
 * asked for.
 */
class LoopbackTurn implements TurnSource {
  #pair: LoopbackPair | undefined;
  #isPermitted: boolean | undefined;
  #state: "sound" | "failed" = "sound";

  get isAvailable(): boolean {
    return this.#state === "sound" && (this.#isPermitted ??= isPermitted());
  }

  open(): void {
    this.#pair ??= new LoopbackPair();
  }

  async take(): Promise<void> {
    const pair = this.#pair ??= new LoopbackPair();
    try {
      await pair.turn();
    } catch (error) {
      if (this.#pair === pair) this.#fail();
      throw error;
    }
  }

  close(): Promise<void> | undefined {
    const pair = this.#pair;
    this.#pair = undefined;
    this.#isPermitted = undefined;
    this.#state = "sound";
    return pair?.close();
  }

  /** It is not tried again before all sockets are closed. */
  #fail(): void {
    this.close();
    this.#state = "failed";
  }
}

function isPermitted(): boolean {
  return Deno.permissions.querySync({ name: "net", host: HOSTNAME }).state === "granted";
}

eventLoopLag.provide(new LoopbackTurn());
