import { type SocketConnector, tcp } from "../../mod.ts";
import { type Behaviour, echo, EchoServer, unusedPort } from "./echo_server.ts";

/** A port on loopback whose real server may be up or down. Disposing of it stops the server. */
export class Site implements AsyncDisposable {
  readonly port = unusedPort();
  readonly connector: SocketConnector<Deno.NetAddr> = tcp({ port: this.port });
  #server: EchoServer | undefined;

  static up(behaviour?: Behaviour): Site {
    const site = new Site();
    site.start(behaviour);
    return site;
  }

  get name(): string {
    return `tcp://127.0.0.1:${this.port}`;
  }

  /** How many connections the present server has accepted. */
  get accepts(): number {
    return this.#server?.accepts ?? 0;
  }

  /** How many of them are open. */
  get open(): number {
    return this.#server?.peers.filter((peer) => !peer.signal.aborted).length ?? 0;
  }

  start(behaviour: Behaviour = echo): void {
    this.#server = EchoServer.listen(behaviour, this.port);
  }

  /** Stops listening, and closes all connections. */
  async stop(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
