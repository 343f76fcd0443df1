// Through the proxies of others.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Pool, tcp, tls } from "../../mod.ts";
import { EchoServer, unusedPort } from "../support/echo_server.ts";
import { needs, pathOf } from "../support/needs.ts";
import { roundTrip } from "../support/round_trip.ts";
import { certs, listenTls } from "../support/tls_server.ts";

/** A proxy in its own process, on its own port. Disposing of it kills it. */
class ProxyProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly port: number;

  private constructor(child: Deno.ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  /** Resolves when it listens. */
  static async start(command: string, args: (port: number) => string[]): Promise<ProxyProcess> {
    const port = unusedPort();
    const options = { args: args(port), stdout: "null", stderr: "null" } as const;
    const proxy = new ProxyProcess(new Deno.Command(pathOf(command), options).spawn(), port);
    for (;;) {
      try {
        (await Deno.connect({ port })).close();
        return proxy;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }
}

/** Sends requests through a proxy, plain and encrypted. */
async function passThrough(proxy: string): Promise<void> {
  await using plain = EchoServer.listen();
  await using secure = listenTls();
  await using plainPool = new Pool(tcp({ hostname: "localhost", port: plain.port, proxy }));
  const options = { hostname: "localhost", port: secure.port, caCerts: [certs.ca], proxy };
  await using securePool = new Pool(tls(options));
  for (let round = 0; round < 3; round++) {
    assertEquals(await plainPool.use((conn) => roundTrip(conn, "ping")), "ping");
    assertEquals(await securePool.use((conn) => roundTrip(conn, "ping")), "ping");
  }
  assertEquals([plain.accepts, secure.accepts], [1, 1]);
}

/** Fails to dial through a proxy, whose answer is in the error, without its password. */
async function assertRefuses(
  proxy: string,
  ErrorType: typeof Deno.errors.PermissionDenied,
  text: string,
  port = 1,
): Promise<void> {
  await using pool = new Pool(tcp({ hostname: "127.0.0.1", port, proxy }));
  const error = await assertRejects(() => pool.acquire(), ErrorType, text);
  assert(error.message.includes(`tcp://127.0.0.1:${port} through `), error.message);
  assert(!Deno.inspect(error).includes("secret"), Deno.inspect(error));
}

const { PermissionDenied, ConnectionRefused } = Deno.errors;

Deno.test({
  ...needs("tcp() and tls() go through microsocks with a login, and say what it refuses", {
    programs: ["microsocks"],
  }),
  async fn() {
    await using proxy = await ProxyProcess.start(
      "microsocks",
      (port) => ["-i", "127.0.0.1", "-p", `${port}`, "-u", "jo", "-P", "secret"],
    );
    const at = `127.0.0.1:${proxy.port}`;
    await passThrough(`socks5://jo:secret@${at}`);
    await assertRefuses(`socks5://${at}`, PermissionDenied, "The proxy demands a login");
    await assertRefuses(`socks5://jo:secret2@${at}`, PermissionDenied, "refused the login");
    await assertRefuses(
      `socks5://jo:secret@${at}`,
      ConnectionRefused,
      "The proxy could not connect: connection refused",
      unusedPort(),
    );
  },
});

Deno.test({
  ...needs("tcp() and tls() go through tinyproxy with a login, and say what it refuses", {
    permissions: ["write"],
    programs: ["tinyproxy"],
  }),
  async fn() {
    const directory = await Deno.makeTempDir();
    const config = `${directory}/tinyproxy.conf`;
    {
      await using proxy = await ProxyProcess.start("tinyproxy", (port) => {
        const settings = ["Listen 127.0.0.1", "Allow 127.0.0.1", "BasicAuth jo secret"];
        Deno.writeTextFileSync(config, `Port ${port}\n${settings.join("\n")}\n`);
        return ["-d", "-c", config];
      });
      const at = `127.0.0.1:${proxy.port}`;
      await passThrough(`http://jo:secret@${at}`);
      await assertRefuses(`http://${at}`, PermissionDenied, "The proxy demands a login");
      await assertRefuses(`http://jo:secret2@${at}`, PermissionDenied, "refused the login");
      await assertRefuses(`http://jo:secret@${at}`, ConnectionRefused, "status 500", unusedPort());
    }
    await Deno.remove(directory, { recursive: true });
  },
});
