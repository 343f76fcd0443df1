/**
 * Relays bytes between clients and a server on loopback, or holds them back for a
 * while. Disposing of it closes all.
 */
export class Relay implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #target: number;
  readonly #open = Promise.withResolvers<void>();
  readonly #conns = new Set<Deno.Conn>();
  readonly #running: Promise<void>;
  readonly #relaying = new Set<Promise<void>>();
  /** How many connections it has accepted. */
  accepts = 0;

  private constructor(target: number) {
    this.#target = target;
    this.#running = this.#run();
  }

  /** Relays connections to a port. */
  static to(target: number): Relay {
    const relay = new Relay(target);
    relay.resume();
    return relay;
  }

  /** Holds back bytes until `resume()`. */
  static pausedBefore(target: number): Relay {
    return new Relay(target);
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  resume(): void {
    this.#open.resolve();
  }

  /** Closes all connections abruptly on both sides. */
  cut(): void {
    for (const conn of this.#conns) conn.close();
    this.#conns.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#running;
    this.resume();
    this.cut();
    await Promise.all(this.#relaying);
  }

  async #run(): Promise<void> {
    for await (const conn of this.#listener) {
      this.accepts++;
      this.#conns.add(conn);
      this.#relaying.add(this.#relay(conn));
    }
  }

  async #relay(near: Deno.Conn): Promise<void> {
    await this.#open.promise;
    if (!this.#conns.has(near)) return;
    const far = await Deno.connect({ hostname: "127.0.0.1", port: this.#target });
    this.#conns.add(far);
    await Promise.all([this.#pass(near, far), this.#pass(far, near)]);
    for (const conn of [near, far]) if (this.#conns.delete(conn)) conn.close();
  }

  /** Relays all bytes, then the end. */
  async #pass(from: Deno.Conn, to: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      for (let read; (read = await from.read(buffer)) !== null;) {
        for (let sent = 0; sent < read;) sent += await to.write(buffer.subarray(sent, read));
      }
      await to.closeWrite();
    } catch {
      // one of them was cut or is gone
    }
  }
}
