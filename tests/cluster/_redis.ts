import { delay } from "@std/async";
import { RespError, type RespReply, roundTrip } from "../../cluster/_resp.ts";
import { Socket } from "../../connectors/socket.ts";

/** Why a `redis-server` can't be started here, or undefined. */
export const MISSING: string | undefined = Deno.build.os === "windows"
  ? "not on windows"
  : await missing();

async function missing(): Promise<string | undefined> {
  try {
    await new Deno.Command("redis-server", { args: ["--version"], stdout: "null" }).output();
    return undefined;
  } catch {
    return "redis-server is not installed";
  }
}

/** The name of a test, with a reason if it can't run here, and whether it is ignored. */
export function unlessMissing(name: string): { name: string; ignore: boolean } {
  if (MISSING === undefined) return { name, ignore: false };
  return { name: `${name} [skipped: ${MISSING}]`, ignore: true };
}

/** One connection to a Redis, for commands one after the other. */
export class RedisClient implements Disposable {
  readonly #port: number;
  #socket: Socket | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(port: number) {
    this.#port = port;
  }

  /** Sends a command; rejects if Redis answers with an error. Connects again after a failure. */
  readonly send = (command: (string | number)[]): Promise<RespReply> => {
    const reply = this.#last.then(() => this.#exchange(command));
    this.#last = reply.catch(() => {});
    return reply;
  };

  async #exchange(command: (string | number)[]): Promise<RespReply> {
    try {
      this.#socket ??= new Socket(await Deno.connect({ hostname: "127.0.0.1", port: this.#port }));
      const reply = await roundTrip(this.#socket, command);
      if (!(reply instanceof RespError)) return reply;
      throw reply;
    } catch (error) {
      if (!(error instanceof RespError)) this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#socket?.close();
    this.#socket = undefined;
  }
}

/** A private `redis-server` on loopback, in memory only. */
export class RedisServer implements AsyncDisposable {
  readonly port: number;
  #child: Deno.ChildProcess | undefined;

  private constructor(port: number) {
    this.port = port;
  }

  static async start(): Promise<RedisServer> {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    const server = new RedisServer(port);
    await server.restart();
    return server;
  }

  /** Starts it again on the same port, empty. */
  async restart(): Promise<void> {
    const args = ["--bind", "127.0.0.1", "--port", `${this.port}`, "--save", "", "--appendonly"];
    const command = new Deno.Command("redis-server", {
      args: [...args, "no"],
      stdout: "null",
      stderr: "null",
    });
    this.#child = command.spawn();
    using client = new RedisClient(this.port);
    for (let tries = 0; tries < 500; tries++) {
      try {
        await client.send(["PING"]);
        return;
      } catch {
        await delay(20);
      }
    }
    throw new Error("redis-server did not start");
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    child.kill("SIGKILL");
    await child.status;
  }

  signal(signal: Deno.Signal): void {
    this.#child?.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
