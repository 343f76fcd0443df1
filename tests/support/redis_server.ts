import { fileURLToPath } from "node:url";
import { unusedPort } from "./echo_server.ts";
import { type Needs, PROCESS, reasonToSkip } from "./needs.ts";

/** The needs of tests with a real Redis. */
export const REDIS: Needs = { ...PROCESS, programs: ["redis-server"] };

/** Whether a real Redis is installed. */
export const hasRedis = reasonToSkip(REDIS) === undefined;

const pathOf = (file: string) => fileURLToPath(new URL(`./certs/${file}`, import.meta.url));

/**
 * A real Redis on loopback without persistence, reached over TCP, TLS and a
 * Unix socket. It may not listen yet right after its start. Disposing of it kills
 * it and removes its directory.
 */
export class RedisServer implements AsyncDisposable {
  readonly port = unusedPort();
  readonly tlsPort = unusedPort();
  readonly directory = Deno.makeTempDirSync();
  readonly path = `${this.directory}/socket`;
  readonly #child: Deno.ChildProcess;

  /** Starts it, optionally with further settings. */
  constructor(...settings: string[]) {
    this.#child = new Deno.Command("redis-server", {
      args: [
        ...["--bind", "127.0.0.1", "--port", `${this.port}`, "--unixsocket", this.path],
        ...["--dir", this.directory, "--save", "", "--appendonly", "no"],
        ...["--tls-port", `${this.tlsPort}`, "--tls-auth-clients", "no"],
        ...["--tls-cert-file", pathOf("server.pem"), "--tls-key-file", pathOf("server_key.pem")],
        ...["--tls-ca-cert-file", pathOf("ca.pem")],
        ...settings,
      ],
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
    await Deno.remove(this.directory, { recursive: true });
  }
}
