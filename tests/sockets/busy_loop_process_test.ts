// What the peer does while the event loop is blocked: over Unix sockets, and in a program without permission for 127.0.0.1.
import { assertEquals } from "@std/assert";
import { delay } from "@std/async";
import { Pool, unix } from "../../mod.ts";
import { type Needs, needs, PROCESS } from "../support/needs.ts";
import { roundTrip } from "../support/round_trip.ts";
import { type StallCommand, StallServer } from "../support/stall_server.ts";

const UNIX: Needs = { ...PROCESS, notOn: ["windows"] };

for (const command of ["end", "stray"] as const) {
  Deno.test({
    ...needs(
      `unix(): acquire() lends no socket whose peer acts (${command}) during a stall`,
      UNIX,
    ),
    async fn() {
      const directory = await Deno.makeTempDir();
      const path = `${directory}/socket`;
      using server = await StallServer.start("unix", { path });
      const lent: string[] = [];
      for (const rest of [0, 12, 300]) {
        for (const duration of [10, 20, 60]) {
          await using pool = new Pool(unix({ path }), { maxSize: 1 });
          await pool.use((conn) => roundTrip(conn, "ping"));
          await delay(rest);
          server.stallDuring(command, duration);
          using conn = await pool.acquire();
          if (conn.reused) lent.push(`${rest} ms of rest, ${duration} ms of stall`);
        }
      }
      await Deno.remove(directory, { recursive: true });
      assertEquals(lent, []);
    },
  });

  Deno.test({
    ...needs(
      `a program with permission for its server only is lent no socket whose peer acts (${command}) during a stall of 30 ms or more`,
      PROCESS,
    ),
    async fn() {
      assertEquals(await lentInChild(command), "[]");
    },
  });
}

/** Runs a program with minimal permissions that reports which stalls went unnoticed. */
async function lentInChild(command: StallCommand): Promise<string> {
  using server = await StallServer.start("tcp");
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(file, program(server.port));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", `--allow-net=127.0.0.1:${server.port}`, file],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  let output = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output += text;
    if (!text.endsWith("stall\n")) continue;
    server.stallDuring(command, 0); // blocks until the server has done it
    await writer.write(new Uint8Array(1));
  }
  await writer.close();
  await child.status;
  await Deno.remove(file);
  return output.replaceAll("stall\n", "").trim();
}

/** Each stall lasts for its time and until the peer has acted, which a read of the input shows. */
function program(port: number): string {
  const module = new URL("../../mod.ts", import.meta.url);
  return `
    import { Pool, tcp } from "${module}";
    const lent = [];
    for (const rest of [0, 12, 300]) {
      for (const duration of [40, 60, 90]) {
        await using pool = new Pool(tcp({ port: ${port} }), { maxSize: 1 });
        await pool.use(async (conn) => {
          await conn.writeAll("ping");
          await conn.readExactly(4);
        });
        await new Promise((resolve) => setTimeout(resolve, rest));
        console.log("stall");
        const end = performance.now() + duration;
        Deno.stdin.readSync(new Uint8Array(1));
        while (performance.now() < end);
        using conn = await pool.acquire();
        if (conn.reused) lent.push([rest, duration]);
      }
    }
    console.log(JSON.stringify(lent));
  `;
}
