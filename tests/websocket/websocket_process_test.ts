import { assert, assertEquals } from "@std/assert";
import { needs, PROCESS } from "../support/needs.ts";
import { elapsed } from "../support/until.ts";
import { WebSocketServer } from "../support/websocket_server.ts";

const mod = new URL("../../mod.ts", import.meta.url).href;

/** Runs a program that leaves its pool of WebSockets open. */
async function leaveOpen(url: string, options: string): Promise<{ code: number; output: string }> {
  const program = `import { Pool, webSocket } from ${JSON.stringify(mod)};
    const pool = new Pool(webSocket({ url: ${JSON.stringify(url)} }), ${options});
    const reply = await pool.use((ws) => (ws.send("done"), ws.receive()));
    console.log(reply, String(pool));`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--quiet", "--allow-net=127.0.0.1", "--no-check", "-"],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
    signal: AbortSignal.timeout(10_000),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(program));
  await writer.close();
  const { code, stdout } = await child.output();
  return { code, output: new TextDecoder().decode(stdout) };
}

Deno.test({
  ...needs(
    "webSocket(): a pool that is never closed keeps the process alive until idleTimeout, no longer",
    PROCESS,
  ),
  async fn() {
    await using server = new WebSocketServer();
    const times: number[] = [];
    for (const idleTimeout of [1, 1_500]) {
      times.push(
        await elapsed(async () => {
          const result = await leaveOpen(server.url, `{ idleTimeout: ${idleTimeout} }`);
          assertEquals(result, {
            code: 0,
            output: "done Pool(leased 0, idle 1, waiting 0, max 10)\n",
          });
        }),
      );
    }
    const [short, long] = times as [number, number];
    assert(long - short > 1_000, `ended after ${short} and ${long} ms`);
  },
});
