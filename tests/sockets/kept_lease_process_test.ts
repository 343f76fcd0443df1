// Leases that are kept, and servers with a full backlog: tests that need a process or a path.
import { assertEquals, assertRejects } from "@std/assert";
import { Pool, PoolTimeoutError, unix } from "../../mod.ts";
import { EchoServer } from "../support/echo_server.ts";
import { type Needs, needs, PROCESS } from "../support/needs.ts";
import { roundTrip } from "../support/round_trip.ts";

const UNIX: Needs = { ...PROCESS, notOn: ["windows"] };

for (const ioTimeout of [undefined, 600_000]) {
  const name =
    `a lease that is kept with nothing in flight lets the process end, with ioTimeout ${ioTimeout}`;
  Deno.test({
    ...needs(name, PROCESS),
    async fn() {
      await using server = EchoServer.listen();
      const module = new URL("../../mod.ts", import.meta.url);
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-prompt", "--no-check", `--allow-net`, "-"],
        stdin: "piped",
        stdout: "piped",
      }).spawn();
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(`
      import { Pool, tcp } from "${module}";
      const pool = new Pool(tcp({ port: ${server.port}, ioTimeout: ${ioTimeout} }));
      globalThis.kept = await pool.acquire();
      await kept.writeAll("ping");
      await kept.readExactly(4);
      console.log("kept");
    `));
      await writer.close();
      const { code, stdout } = await child.output();
      assertEquals([code, new TextDecoder().decode(stdout)], [0, "kept\n"]);
    },
  });
}

/** A listener that accepts nothing yet and whose backlog is full, and the connections that fill it. */
async function fullListener(path: string): Promise<[Deno.UnixListener, Deno.UnixConn[]]> {
  const listener = Deno.listen({ transport: "unix", path });
  const conns: Deno.UnixConn[] = [];
  for (;;) {
    try {
      conns.push(await Deno.connect({ transport: "unix", path }));
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      return [listener, conns];
    }
  }
}

Deno.test({
  ...needs("unix() waits for a server whose backlog is full, within its connectTimeout", UNIX),
  async fn() {
    const directory = await Deno.makeTempDir();
    const path = `${directory}/socket`;
    const [listener, conns] = await fullListener(path);
    await using pool = new Pool(unix({ path }), { maxSize: 10, connectTimeout: 30_000 });
    {
      await using impatient = new Pool(unix({ path }), { connectTimeout: 50 });
      await assertRejects(() => impatient.acquire(), PoolTimeoutError);
    }
    const replies = Promise.all(
      Array.from({ length: 10 }, (_, id) => pool.use((conn) => roundTrip(conn, `${id}`))),
    );
    await using _server = EchoServer.on(listener);
    assertEquals(await replies, Array.from({ length: 10 }, (_, id) => `${id}`));
    for (const conn of conns) conn.close();
    await Deno.remove(directory, { recursive: true });
  },
});
