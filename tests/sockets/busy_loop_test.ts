// What the peer does while the event loop of this program is blocked. The peer runs on its own thread.
import { assertEquals, assertRejects } from "@std/assert";
import { delay } from "@std/async";
import { KeyedPool, Pool, type SocketLease, tcp, tls, type TlsLease } from "../../mod.ts";
import { roundTrip } from "../support/round_trip.ts";
import {
  stall,
  type StallCommand,
  StallServer,
  type StallTransport,
} from "../support/stall_server.ts";
import { certs } from "../support/tls_server.ts";

type AnyLease = SocketLease<Deno.NetAddr> | TlsLease;

/** The part of a pool that these tests use. */
interface AnyPool extends AsyncDisposable {
  acquire(): Promise<AnyLease>;
  tryAcquire(): AnyLease | undefined;
}

const MAX_SIZE = { maxSize: 1 };
const tlsTo = (port: number) => tls({ port, caCerts: [certs.ca] });

const pools: Record<string, [StallTransport, (port: number) => AnyPool]> = {
  "tcp()": ["tcp", (port) => new Pool(tcp({ port }), MAX_SIZE)],
  "tls()": ["tls", (port) => new Pool(tlsTo(port), MAX_SIZE)],
  "a KeyedPool": ["tcp", (port) => {
    const keyed = new KeyedPool(() => tcp({ port }), { maxPerKey: 1 });
    return {
      acquire: () => keyed.acquire("key"),
      tryAcquire: () => keyed.tryAcquire("key"),
      [Symbol.asyncDispose]: () => keyed.close(),
    };
  }],
};

/** How long the socket is idle before the stall: not at all, for a tick or two, or longer than it is watched by ticks. */
const RESTS_MS = [0, 12, 300];
const STALLS_MS = [10, 20, 60];
/** A TLS server's small writes wait for an acknowledgement, up to 40 ms. */
const TLS_STALLS_MS = [60];
const ROUNDS = 2;

for (const [name, [transport, make]] of Object.entries(pools)) {
  const stalls = transport === "tls" ? TLS_STALLS_MS : STALLS_MS;
  for (const command of ["end", "stray"] as const) {
    Deno.test(`${name}: acquire() lends no socket whose peer sends ${said(command)} during a stall`, async () => {
      using server = await StallServer.start(transport);
      const lent: string[] = [];
      for (const rest of RESTS_MS) {
        for (const duration of stalls) {
          for (let round = 0; round < ROUNDS; round++) {
            await using pool = make(server.port);
            await ask(await pool.acquire());
            await delay(rest);
            server.stallDuring(command, duration);
            using conn = await pool.acquire();
            if (conn.reused) lent.push(`${rest} ms of rest, ${duration} ms of stall`);
          }
        }
      }
      assertEquals(lent, []);
    });

    Deno.test(`${name}: tryAcquire() lends no socket whose peer sends ${said(command)} during a noticed stall`, async () => {
      using server = await StallServer.start(transport);
      const lent: string[] = [];
      for (const rest of [0, 12]) {
        for (const duration of stalls) {
          await using pool = make(server.port);
          await ask(await pool.acquire());
          await settled();
          await ask(await pool.acquire());
          await delay(rest);
          server.stallDuring(command, duration);
          using conn = pool.tryAcquire();
          if (conn !== undefined) lent.push(`${rest} ms of rest, ${duration} ms of stall`);
        }
      }
      assertEquals(lent, []);
    });
  }

  Deno.test(`${name}: a stall retires no healthy socket`, async () => {
    using server = await StallServer.start(transport);
    await using pool = make(server.port);
    await ask(await pool.acquire());
    for (const duration of [...stalls, 200]) {
      stall(duration);
      const conn = await pool.acquire();
      assertEquals(conn.reused, true, `${duration} ms`);
      await ask(conn);
    }
  });
}

for (const ioTimeout of [50, 150]) {
  Deno.test(`TcpOptions.ioTimeout of ${ioTimeout} ms does not count a stall of any length`, async () => {
    using server = await StallServer.start("tcp", { delay: 20 });
    await using pool = new Pool(tcp({ port: server.port, ioTimeout }), MAX_SIZE);
    for (let round = 0; round < 4; round++) {
      await pool.use(async (conn) => {
        await conn.writeAll("ping");
        const reply = conn.readExactly(4);
        await delay(1);
        stall(300);
        await reply;
      });
    }
    assertEquals(pool.stats.dials.ok, 1);
  });
}

Deno.test("TcpOptions.ioTimeout is extended by a stall for a reply that comes after it", async () => {
  using server = await StallServer.start("tcp", { delay: 700 });
  await using pool = new Pool(tcp({ port: server.port, ioTimeout: 300 }), MAX_SIZE);
  await pool.use(async (conn) => {
    await conn.writeAll("ping");
    const reply = conn.readExactly(4);
    await delay(1);
    stall(600);
    await reply;
  });
});

Deno.test("TcpOptions.ioTimeout ends a read without a reply, with and without a stall", async () => {
  using server = await StallServer.start("tcp", { delay: 60_000 });
  await using pool = new Pool(tcp({ port: server.port, ioTimeout: 50 }), MAX_SIZE);
  for (const duration of [0, 100]) {
    await assertRejects(() =>
      pool.use(async (conn) => {
        await conn.writeAll("ping");
        const reply = conn.readExactly(4);
        stall(duration);
        await reply;
      }), Deno.errors.TimedOut);
  }
});

function said(command: StallCommand): string {
  return command === "end" ? "an end of file" : "what nobody asked for";
}

async function ask(conn: AnyLease): Promise<void> {
  using _conn = conn;
  assertEquals(await roundTrip(conn, "ping"), "ping");
}

/** Lets a few ticks come in time. */
async function settled(): Promise<void> {
  await delay(30);
}
