import { delay } from "@std/async";

/** What the server does with the bytes of one read. */
export type Behaviour = (peer: Peer, bytes: Uint8Array) => void | Promise<void>;

/** Sends back what it receives. */
export const echo: Behaviour = (peer, bytes) => peer.write(bytes);

/** Sends back what it receives, each time after a delay. */
export function delayed(milliseconds: number): Behaviour {
  return async (peer, bytes) => {
    await delay(milliseconds, { signal: peer.signal });
    await peer.write(bytes);
  };
}

/** Sends back what it receives, with unsolicited bytes in the same write. */
export function appending(extra: string): Behaviour {
  return (peer, bytes) => peer.write(concat(bytes, encoder.encode(extra)));
}

/** Answers every read with the same text. */
export function replying(text: string): Behaviour {
  return (peer) => peer.write(text);
}

/** Answers every read with the same text, one byte at a time. */
export function dribbling(text: string): Behaviour {
  return async (peer) => {
    for (const byte of encoder.encode(text)) await peer.write(Uint8Array.of(byte));
  };
}

/** Sends back what it receives once, and hangs up. */
export const closing: Behaviour = async (peer, bytes) => {
  await peer.write(bytes);
  peer.close();
};

/** Reads and never answers. */
export const mute: Behaviour = () => {};

/** Reads once only: later writes of the client fill the buffers. */
export const deaf: Behaviour = (peer) => peer.closed;

const encoder = new TextEncoder();

/** The server's end of a connection. */
export class Peer {
  readonly #conn: Deno.Conn;
  readonly #end = new AbortController();
  /** Fulfilled when the server has closed its end. */
  readonly closed: Promise<void>;
  /** How many bytes the client has sent. */
  received = 0;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
    this.closed = new Promise((resolve) => this.signal.addEventListener("abort", () => resolve()));
  }

  /** Aborted when the server has closed its end. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  async write(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    for (let sent = 0; sent < bytes.length;) sent += await this.#conn.write(bytes.subarray(sent));
  }

  /** Ends the server's direction; it goes on reading. */
  async closeWrite(): Promise<void> {
    await this.#conn.closeWrite();
  }

  /** Hangs up. */
  close(): void {
    if (this.signal.aborted) return;
    this.#conn.close();
    this.#end.abort();
  }

  /** Reads until the client ends; resolves to whether it did. */
  async serve(behaviour: Behaviour): Promise<boolean> {
    const buffer = new Uint8Array(65_536);
    try {
      for (let read; (read = await this.#conn.read(buffer)) !== null;) {
        this.received += read;
        await behaviour(this, buffer.slice(0, read));
      }
      return true;
    } catch (error) {
      if (!this.signal.aborted && !isHangUp(error)) throw error;
      return !this.signal.aborted;
    } finally {
      this.close();
    }
  }
}

/**
 * A real server on loopback that counts its connections. Disposing of it closes
 * the listener and every connection.
 */
export class EchoServer<A extends Deno.Addr = Deno.NetAddr> implements AsyncDisposable {
  readonly #listener: Deno.Listener<Deno.Conn, A>;
  readonly #behaviour: Behaviour;
  readonly #running: Promise<void>;
  readonly #serving = new Set<Promise<void>>();
  /** All accepted connections, the oldest first. */
  readonly peers: Peer[] = [];
  /** How many connections the client has ended. */
  ends = 0;

  private constructor(behaviour: Behaviour, listener: Deno.Listener<Deno.Conn, A>) {
    this.#behaviour = behaviour;
    this.#listener = listener;
    this.#running = this.#run();
  }

  /** Listens on a loopback port, by default a free one. */
  static listen(behaviour: Behaviour = echo, port = 0): EchoServer {
    return EchoServer.on(Deno.listen({ hostname: "127.0.0.1", port }), behaviour);
  }

  /** Serves the connections of a listener, and closes it at the end. */
  static on<A extends Deno.Addr>(
    listener: Deno.Listener<Deno.Conn, A>,
    behaviour: Behaviour = echo,
  ): EchoServer<A> {
    return new EchoServer(behaviour, listener);
  }

  get addr(): A {
    return this.#listener.addr;
  }

  get port(): number {
    const { addr } = this.#listener;
    return "port" in addr ? addr.port : 0;
  }

  /** How many connections the server has accepted. */
  get accepts(): number {
    return this.peers.length;
  }

  /** Closes all connections; it still accepts. */
  hangUp(): void {
    for (const peer of this.peers) peer.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#running;
    this.hangUp();
    await Promise.all(this.#serving);
  }

  async #run(): Promise<void> {
    for await (const conn of this.#listener) {
      const peer = new Peer(conn);
      this.peers.push(peer);
      this.#serving.add(this.#serve(peer));
    }
  }

  async #serve(peer: Peer): Promise<void> {
    if (await peer.serve(this.#behaviour)) this.ends++;
  }
}

/** A loopback port without a listener. */
export function unusedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

function isHangUp(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted || isTlsHangUp(error);
}

/** Errors under TLS: an end without close_notify, or an alert of the client. */
function isTlsHangUp(error: unknown): boolean {
  return error instanceof Deno.errors.UnexpectedEof || error instanceof Deno.errors.InvalidData;
}
