/** The client of examples/_postgres.ts with a real PostgreSQL. */

import { assertEquals, assertRejects } from "@std/assert";
import { Pool, type PoolOptions } from "@x/sockpool";
import {
  Postgres,
  postgres,
  PostgresError,
  type PostgresLease,
  type PostgresOptions,
  type PostgresSocket,
} from "../../examples/_postgres.ts";
import { PostgresServer } from "./_postgres.ts";
import { certificates, freePort, serverTest, until } from "./_process.ts";

const NEEDS = ["postgres", "initdb"];

type PostgresPool = Pool<PostgresSocket, PostgresLease>;

/** The ways to a server, as URLs. */
const ways = {
  tcp: ({ port }: PostgresServer) => `postgres://app:secret@localhost:${port}/postgres`,
  tls: (server: PostgresServer) => `${ways.tcp(server)}?sslmode=require`,
  unix: (server: PostgresServer) => `${ways.tcp(server)}?host=${server.directory}`,
};

/** A pool of one connection, and the client over it. */
function clientOf(
  server: PostgresServer,
  way: keyof typeof ways = "tcp",
  options: PostgresOptions = {},
  poolOptions: PoolOptions = {},
): { pool: PostgresPool; client: Postgres } {
  const url = new URL(ways[way](server));
  const connector = postgres(url, { caCerts: [certificates.authority()], ...options });
  const pool = new Pool(connector, { maxSize: 1, ...poolOptions });
  return { pool, client: new Postgres(pool, url) };
}

/** The number of running queries of the user `app`. */
async function running(server: PostgresServer): Promise<number> {
  const sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state = 'active'";
  return Number((await server.query(sql))[0]![0]);
}

for (const way of ["tcp", "tls", "unix"] as const) {
  serverTest(
    NEEDS,
    `A PostgreSQL query over ${way} that is cancelled ends at the server, and costs no connection`,
    async () => {
      await using server = await new PostgresServer().start();
      const { pool, client } = clientOf(server, way);
      await using _pool = pool;
      for (let n = 1; n <= 3; n++) {
        const controller = new AbortController();
        const query = client.query("SELECT pg_sleep(60)", controller);
        await until(async () => await running(server) === 1, "the server works on it");
        controller.abort(new Error(`enough ${n}`));
        await assertRejects(() => query, Error, `enough ${n}`);
        assertEquals(await running(server), 0);
        assertEquals(await client.query(`SELECT ${n}`), [[`${n}`]]);
      }
      assertEquals(pool.stats.dials.ok, 1);
    },
  );
}

serverTest(
  NEEDS,
  "Notifications reach an idle PostgreSQL connection, which stays in the pool",
  async () => {
    await using server = await new PostgresServer().start();
    const told: string[] = [];
    const onNotification = (channel: string, payload: string) => told.push(`${channel} ${payload}`);
    const { pool, client } = clientOf(server, "tcp", { onNotification });
    await using _pool = pool;
    await client.query("LISTEN news");
    for (let n = 1; n <= 5; n++) {
      await server.query(`NOTIFY news, 'number ${n}'`);
      await until(() => told.length === n, "it is told");
    }
    assertEquals(told, [1, 2, 3, 4, 5].map((n) => `news number ${n}`));
    assertEquals(await client.query("SELECT 1"), [["1"]]);
    assertEquals([pool.stats.dials.ok, pool.stats.retired.lost], [1, 0]);
  },
);

serverTest(
  NEEDS,
  "A PostgreSQL connection left in a transaction is not lent again",
  async () => {
    await using server = await new PostgresServer().start();
    const { pool, client } = clientOf(server);
    await using _pool = pool;
    await client.query("SELECT 1");
    await client.query("BEGIN");
    const assertFresh = async () => {
      const [row] = await client.query("SELECT pg_current_xact_id_if_assigned() IS NULL");
      assertEquals(row, ["t"]);
    };
    await assertFresh();
    assertEquals([pool.stats.dials.ok, pool.stats.retired.broken], [2, 1]);
    await client.query("BEGIN; SELECT 1 / 0").catch(() => {}); // a failed transaction
    await assertFresh();
    assertEquals([pool.stats.dials.ok, pool.stats.retired.broken], [3, 2]);
  },
);

serverTest(
  NEEDS,
  "A wrong password for PostgreSQL rejects at once, however many attempts are allowed",
  async () => {
    await using server = await new PostgresServer().start();
    const url = new URL(ways.tcp(server));
    url.password = "wrong-one";
    const options = { maxSize: 1, retry: { attempts: Infinity, minDelay: 60_000 } };
    await using pool = new Pool(postgres(url), options);
    const error = await assertRejects(() => pool.acquire(), PostgresError);
    assertEquals([error.code, error.message.includes("wrong-one")], ["28P01", false]);
    assertEquals(pool.stats.dials.failed, 1);
  },
);

serverTest(
  NEEDS,
  "A PostgreSQL query that is aborted while it waits for a connection is not run",
  async () => {
    await using server = await new PostgresServer().start();
    const { pool, client } = clientOf(server);
    await using _pool = pool;
    await client.query("CREATE TEMP SEQUENCE runs");
    const controller = new AbortController();
    {
      using _held = await pool.acquire();
      const query = client.query("SELECT nextval('runs')", controller);
      await until(() => pool.stats.waiting === 1, "it waits");
      controller.abort(new Error("enough"));
      await assertRejects(() => query, Error, "enough");
      assertEquals(pool.stats.waiting, 0);
    }
    assertEquals(await client.query("SELECT nextval('runs')"), [["1"]]);
    assertEquals(pool.stats.dials.ok, 1);
  },
);

serverTest(
  NEEDS,
  "A PostgreSQL query whose cancel request can't be sent costs its connection, and nothing else",
  async () => {
    await using server = await new PostgresServer().start();
    const { pool } = clientOf(server);
    await using _pool = pool;
    const elsewhere = new URL(ways.tcp(server));
    elsewhere.port = `${freePort()}`; // where nobody takes cancel requests
    const client = new Postgres(pool, elsewhere);
    const controller = new AbortController();
    const query = client.query("SELECT pg_sleep(60)", controller);
    await until(async () => await running(server) === 1, "the server works on it");
    controller.abort(new Error("enough"));
    await assertRejects(() => query, Error, "enough");
    assertEquals(await client.query("SELECT 1"), [["1"]]);
    assertEquals([pool.stats.dials.ok, pool.stats.retired.discarded], [2, 1]);
  },
);

serverTest(
  NEEDS,
  "COPY FROM STDIN, which the PostgreSQL client can't do, is refused and does not hang",
  async () => {
    await using server = await new PostgresServer().start();
    const { pool, client } = clientOf(server);
    await using _pool = pool;
    await client.query("CREATE TEMP TABLE numbers (number int)");
    await assertRejects(() => client.query("COPY numbers FROM STDIN"), Error, "COPY FROM STDIN");
    assertEquals(await client.query("SELECT 1"), [["1"]]);
  },
);
