import { assert, assertEquals } from "@std/assert";
import { needs, PROCESS } from "../support/needs.ts";
import { until } from "../support/until.ts";
import { WebSocketServer } from "../support/websocket_server.ts";

const mod = new URL("../../mod.ts", import.meta.url).href;

/** Starts a program that leaves its pool of WebSockets open. At its end it prints how long it ran after that. */
async function leaveOpen(url: string, idleTimeout: number): Promise<Deno.ChildProcess> {
  const program = `import { Pool, webSocket } from ${JSON.stringify(mod)};
    const options = { idleTimeout: ${idleTimeout} };
    const pool = new Pool(webSocket({ url: ${JSON.stringify(url)} }), options);
    const lease = await pool.acquire();
    lease.send("done");
    const reply = await lease.receive();
    const start = performance.now();
    addEventListener("unload", () => console.log(reply, performance.now() - start));
    lease.release();`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--quiet", "--allow-net=127.0.0.1", "--no-check", "-"],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(program));
  await writer.close();
  return child;
}

Deno.test({
  ...needs(
    "webSocket(): a pool that is never closed keeps the process alive until idleTimeout, no longer",
    PROCESS,
  ),
  async fn() {
    await using server = new WebSocketServer();
    const control = await leaveOpen(server.url, 600_000);
    await until(() => server.peers[0]?.messages.length === 1, { within: 60_000 });
    for (const idleTimeout of [1, 1_500]) {
      const child = await leaveOpen(server.url, idleTimeout);
      const { code, stdout } = await child.output();
      const [reply, life] = new TextDecoder().decode(stdout).split(" ");
      assertEquals([code, reply], [0, "done"]);
      assert(Number(life) >= idleTimeout - 1, `ended after ${life} of ${idleTimeout} ms`);
    }
    assertEquals(server.open, 1, "the other one stays open");
    control.kill("SIGKILL");
    const { signal, stdout } = await control.output();
    assertEquals([signal, stdout.length], ["SIGKILL", 0]);
  },
});
