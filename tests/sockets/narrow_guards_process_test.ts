// Guards against rare orders of events, tested with a server or a program in another process.
import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async";
import { Pool, Socket, tcp } from "../../mod.ts";
import { EchoProcess } from "../support/child.ts";
import { roundTrip } from "../support/round_trip.ts";

const ignore = Deno.permissions.querySync({ name: "run" }).state !== "granted";

/** Blocks the event loop until a file exists, and for at least this long. */
function blockUntilMade(file: string, milliseconds: number): void {
  const start = performance.now();
  const isThere = () => {
    try {
      return Deno.statSync(file).isFile;
    } catch {
      return false;
    }
  };
  while (!isThere() || performance.now() - start < milliseconds) {
    assert(performance.now() - start < 60_000, "the server ran its command");
  }
}

for (const command of ["end", "stray"] as const) {
  Deno.test({
    name:
      `A socket whose peer does "${command}" during a stall is not lent before the news of it has been read`,
    ignore,
    async fn() {
      await using server = await EchoProcess.start();
      const { port } = server;
      let onUnref = () => {};
      const connect = async () => {
        const conn = await Deno.connect({ port });
        const unref = conn.unref.bind(conn);
        conn.unref = () => {
          unref();
          onUnref();
        };
        return new Socket(conn);
      };
      await using pool = new Pool({ ...tcp({ port }), connect }, { order: "fifo", maxSize: 2 });
      const file = await Deno.makeTempFile();
      for (let round = 0; round < 5; round++) {
        const [resting, held] = [await pool.acquire(), await pool.acquire()];
        for (const conn of [resting, held]) assertEquals(await roundTrip(conn, "ping"), "ping");
        resting.release();
        await delay(100); // it is watched
        await Deno.remove(file);
        await server.tell(command, file);
        held.release();
        blockUntilMade(file, 150);
        // The late timer that finds the other socket idle runs before the stall is noticed.
        const lent = await new Promise((resolve, reject) => {
          const ask = () => {
            onUnref = () => {};
            clearTimeout(timer);
            pool.use((conn) => conn.reused).then(resolve, reject);
          };
          const timer = setTimeout(ask, 200);
          onUnref = ask;
        });
        assertEquals(lent, false);
        pool.clear();
      }
      await Deno.remove(file);
    },
  });
}

Deno.test({
  name: "A pool whose idle sockets have an ioTimeout and that is never closed lets the process end",
  ignore,
  async fn() {
    await using server = await EchoProcess.start();
    const mod = new URL("../../mod.ts", import.meta.url).href;
    const program = `import { Pool, Socket, tcp } from ${JSON.stringify(mod)};
      const pool = new Pool(tcp({ port: ${server.port}, ioTimeout: 600_000 }));
      const lease = await pool.acquire();
      await lease.writeAll("ping");
      await lease.readExactly(4);
      lease.release();
      console.log(pool.stats.idle);`;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--quiet", program],
      env: { NO_COLOR: "1" },
      signal: AbortSignal.timeout(50_000), // the default idleTimeout is 60 s
    }).output();
    const output = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assertEquals([code, ...output], [0, "1\n", ""]);
  },
});
