import { type Behaviour, EchoServer } from "./echo_server.ts";

/**
 * A host on loopback that accepts no connection and whose backlog is full: a dial gets no
 * answer. Disposing of it closes all.
 */
export class DeafHost implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  readonly #queued: Deno.Conn[] = [];
  #server: EchoServer | undefined;

  private constructor() {}

  static async listen(): Promise<DeafHost> {
    const host = new DeafHost();
    while (await host.#queue());
    return host;
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Accepts connections from now on. The system retries a dial after one second, or three. */
  serve(behaviour: Behaviour): EchoServer {
    return this.#server = EchoServer.on(this.#listener, behaviour);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const conn of this.#queued) conn.close();
    if (this.#server === undefined) this.#listener.close();
    else await this.#server[Symbol.asyncDispose]();
  }

  /** Adds one connection to the backlog. Returns whether there was room. */
  async #queue(): Promise<boolean> {
    const signal = AbortSignal.timeout(100);
    try {
      this.#queued.push(await Deno.connect({ hostname: "127.0.0.1", port: this.port, signal }));
      return true;
    } catch {
      return false;
    }
  }
}
