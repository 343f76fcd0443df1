import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { Pool, type RetireEvent, type Socket, type SocketLease, tcp } from "../../mod.ts";
import { EchoProcess } from "../support/child.ts";
import { needs, PROCESS } from "../support/needs.ts";
import { roundTrip } from "../support/round_trip.ts";
import { until } from "../support/until.ts";

type SocketPool = Pool<Socket<Deno.NetAddr>, SocketLease<Deno.NetAddr>>;

/** The errors of a reset socket: the first call gets the reset, later ones a broken pipe. */
const isReset = (error: unknown) =>
  error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe;

/** A test with a used pool of one, and its server in another process. */
function testWithProcess(
  name: string,
  body: (pool: SocketPool, server: EchoProcess, details: unknown[]) => Promise<void>,
): void {
  Deno.test({
    ...needs(name, PROCESS),
    async fn() {
      await using server = await EchoProcess.start();
      const details: unknown[] = [];
      const onRetire = ({ reason, detail }: RetireEvent) => details.push(reason, detail);
      const options = { maxSize: 1, hooks: { onRetire } };
      await using pool = new Pool(tcp({ port: server.port }), options);
      assertEquals(await pool.use((conn) => roundTrip(conn, "first")), "first");
      await body(pool, server, details);
      assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
      assertEquals([pool.stats.idle, pool.stats.size], [1, 1]);
    },
  });
}

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

testWithProcess(
  "An RST retires an idle socket within 100 ms, without an acquire",
  async (pool, server, details) => {
    using bare = await Deno.connect({ port: server.port });
    await bare.write(new Uint8Array(1));
    await bare.read(new Uint8Array(1)); // the server has accepted it
    const told = assertRejects(() => bare.read(new Uint8Array(1)), Deno.errors.ConnectionReset);
    await server.tell("reset");
    await told; // the server resets all in one turn
    await until(() => pool.stats.idle === 0, { within: 100 });
    assertEquals([details[0], pool.stats.retired.lost], ["lost", 1]);
    assertInstanceOf(details[1], Deno.errors.ConnectionReset);
  },
);

testWithProcess(
  "An RST rejects the borrower's read, and the socket is not lent again",
  async (pool, server) => {
    const conn = await pool.acquire();
    const read = conn.read(new Uint8Array(10));
    await server.tell("reset");
    await assertRejects(() => read, Deno.errors.ConnectionReset);
    await assertRejects(() => conn.read(new Uint8Array(10)), Deno.errors.ConnectionReset);
    assertEquals(pool.stats.leased, 1, "it is the borrower's still");
    conn.release();
    assertEquals([pool.stats.size, pool.stats.retired.broken], [0, 1]);
  },
);

testWithProcess(
  "An RST rejects a blocked write, and the socket is not lent again",
  async (pool, server) => {
    await server.tell("pause");
    const conn = await pool.acquire();
    const writing = conn.writeAll(new Uint8Array(64_000_000));
    await server.tell("reset");
    const error = await assertRejects(() => writing);
    assert(isReset(error), `${error}`);
    conn.release();
    assertEquals(pool.stats.size, 0);
  },
);

testWithProcess(
  "An RST between sequential requests with retryStale fails none of them",
  async (pool, server) => {
    await server.tell("reset");
    do {
      const reply = await pool.use((conn) => roundTrip(conn, "pong"), { retryStale: true });
      assertEquals(reply, "pong");
    } while (pool.stats.dials.ok < 2);
  },
);

for (
  const [command, what] of [["end", "A FIN"], ["stray", "A byte"], ["reset", "An RST"]] as const
) {
  for (const method of ["acquire", "tryAcquire", "use"] as const) {
    testWithProcess(
      `${what} that came while the event loop was blocked is seen before ${method}() lends the socket`,
      async (pool, server) => {
        const file = await Deno.makeTempFile();
        await Deno.remove(file);
        // The command has left this process when the loop is blocked, and is done when the loop runs again.
        await server.tell(command, file);
        blockUntilMade(file, 120);
        if (method === "tryAcquire") assertEquals(pool.tryAcquire(), undefined);
        else if (method === "use") assertEquals(await pool.use((conn) => conn.reused), false);
        else {
          using conn = await pool.acquire();
          assertEquals([conn.reused, await roundTrip(conn, "mine")], [false, "mine"]);
        }
        await Deno.remove(file);
      },
    );
  }
}

/** Runs a program with a pool of sockets to a live server; it must end long before idleTimeout. */
async function runToEnd(port: number, options: string, rest = ""): Promise<void> {
  const mod = new URL("../../mod.ts", import.meta.url).href;
  const program = `import { Pool, tcp } from ${JSON.stringify(mod)};
    const pool = new Pool(tcp({ port: ${port} }), ${options});
    const leases = await Promise.all([1, 2, 3].map(() => pool.acquire()));
    for (const lease of leases) {
      await lease.writeAll("ping");
      await lease.readExactly(4);
      lease.release();
    }
    ${rest}
    await Promise.resolve();
    console.log(pool.stats.idle);`;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", program],
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(50_000), // the default idleTimeout is 60 s
  });
  const { code, stdout, stderr } = await command.output();
  const output = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assertEquals([code, ...output], [0, "3\n", ""]);
}

const neverClosed: Record<string, [options: string, rest?: string]> = {
  "that has idle sockets and a sweep to come": ["{}"],
  "whose idle sockets are watched": [
    "{}",
    "await new Promise((resolve) => setTimeout(resolve, 100));",
  ],
  "with idleTimeout and maxLifetime of Infinity": [
    "{ idleTimeout: Infinity, maxLifetime: Infinity }",
  ],
  "whose times are longer than a timer can be": ["{ idleTimeout: 2 ** 31, maxLifetime: 2 ** 40 }"],
  "with minIdle": ["{ minIdle: 3, maxSize: 3 }"],
};

for (const [what, [options, rest]] of Object.entries(neverClosed)) {
  Deno.test({
    ...needs(`A pool ${what} and that is never closed lets the process end`, PROCESS),
    async fn() {
      await using server = await EchoProcess.start();
      await runToEnd(server.port, options, rest);
    },
  });
}
