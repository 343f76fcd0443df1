// Through third-party proxies, if they are installed.
import { assertEquals, assertRejects } from "@std/assert";
import { Pool, tcp, tls } from "../../mod.ts";
import { EchoServer, unusedPort } from "../support/echo_server.ts";
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
    const proxy = new ProxyProcess(new Deno.Command(command, options).spawn(), port);
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

function isInstalled(command: string): boolean {
  if (Deno.permissions.querySync({ name: "run" }).state !== "granted") return false;
  try {
    return new Deno.Command("which", { args: [command], stdout: "null" }).outputSync().success;
  } catch {
    return false;
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

Deno.test({
  name: "tcp() and tls() go through microsocks, with a login (skipped where it is not installed)",
  ignore: !isInstalled("microsocks"),
  async fn() {
    await using proxy = await ProxyProcess.start(
      "microsocks",
      (port) => ["-i", "127.0.0.1", "-p", `${port}`, "-u", "jo", "-P", "secret"],
    );
    await passThrough(`socks5://jo:secret@127.0.0.1:${proxy.port}`);
    await using refused = new Pool(tcp({ port: 1, proxy: `socks5://127.0.0.1:${proxy.port}` }));
    await assertRejects(() => refused.acquire(), Deno.errors.PermissionDenied);
  },
});

Deno.test({
  name: "tcp() and tls() go through tinyproxy (skipped where it is not installed)",
  ignore: !isInstalled("tinyproxy"),
  async fn() {
    const directory = await Deno.makeTempDir();
    const config = `${directory}/tinyproxy.conf`;
    {
      await using proxy = await ProxyProcess.start("tinyproxy", (port) => {
        Deno.writeTextFileSync(config, `Port ${port}\nListen 127.0.0.1\nAllow 127.0.0.1\n`);
        return ["-d", "-c", config];
      });
      await passThrough(`http://127.0.0.1:${proxy.port}`);
    }
    await Deno.remove(directory, { recursive: true });
  },
});
