import { assertEquals } from "@std/assert";
import { EchoServer, mute } from "../support/echo_server.ts";
import { needs, PROCESS } from "../support/needs.ts";
import { certs, listenTls } from "../support/tls_server.ts";

const mod = new URL("../../mod.ts", import.meta.url).href;

/** Runs a program that has a TLS pool on a port, until it ends by itself. */
async function run(
  port: number,
  connectTimeout: number,
  program: string,
): Promise<{ code: number; output: string }> {
  const code = `
    import { Pool, tls } from ${JSON.stringify(mod)};
    const connector = tls({ port: ${port}, caCerts: [${JSON.stringify(certs.ca)}] });
    const pool = new Pool(connector, { connectTimeout: ${connectTimeout} });
    ${program}`;
  const result = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--quiet",
      "--no-config",
      "--no-check",
      `--allow-net=127.0.0.1:${port}`,
      `data:text/typescript,${encodeURIComponent(code)}`,
    ],
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(10_000),
  }).output();
  const texts = [result.stdout, result.stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code: result.code, output: texts.join("") };
}

Deno.test({
  ...needs("tls(): a pool that is never closed does not keep the process alive", PROCESS),
  async fn() {
    await using server = listenTls();
    const result = await run(
      server.port,
      5_000,
      `await pool.use((conn) => conn.writeAll("ping").then(() => conn.readExactly(4)));
      console.log(String(pool));`,
    );
    assertEquals(result, { code: 0, output: "Pool(leased 0, idle 1, waiting 0, max 10)\n" });
  },
});

Deno.test({
  ...needs(
    "tls(): a handshake that lingers does not keep the process alive once the pool is closed",
    PROCESS,
  ),
  async fn() {
    await using server = EchoServer.listen(mute);
    const result = await run(
      server.port,
      500,
      `await pool.acquire().catch((error) => console.log(error.name, pool.stats.lingering));
      await pool.close();`,
    );
    assertEquals(result, { code: 0, output: "PoolTimeoutError 1\n" });
  },
});
