/** Callers of several keys that compete for the connections to one real server. */

import { assertEquals, assertGreater, assertLess } from "@std/assert";
import {
  type Connector,
  KeyedPool,
  type Socket,
  type SocketConn,
  type SocketLease,
} from "@x/sockpool";
import { figures } from "./_load.ts";
import { postgres, PostgresServer, select } from "./_postgres.ts";
import { serverTest } from "./_process.ts";
import { echo, redis, RedisServer } from "./_redis.ts";

const KEYS = 4;
const CALLERS = 24;
const DURATION = 1_000;

type Request = (conn: SocketConn, tag: string) => Promise<unknown>;

/** The number of served requests and of their dials. */
async function serve(
  connectorOf: () => Connector<Socket, SocketLease>,
  request: Request,
  options: { maxSize: number; maxPerKey: number },
) {
  let dials = 0;
  const hooks = { onConnect: () => void dials++ };
  await using pool = new KeyedPool((_key: number) => connectorOf(), { ...options, hooks });
  for (let key = 0; key < KEYS; key++) await pool.ready(key); // the start of the server is not counted
  let served = 0;
  const end = performance.now() + DURATION;
  const call = async (caller: number) => {
    for (let n = 0; performance.now() < end; n++) {
      const tag = `request ${n} of caller ${caller}`;
      assertEquals(await pool.use(caller % KEYS, (conn) => request(conn, tag)), tag);
      served++;
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, (_, caller) => call(caller)));
  return { served, dials };
}

/** The best of several rounds, since the machine is shared. */
async function compare(
  connectorOf: () => Connector<Socket, SocketLease>,
  request: Request,
): Promise<void> {
  let best = 0;
  for (let round = 0; round < 4 && best < 0.8; round++) {
    const fixed = await serve(connectorOf, request, { maxSize: 4, maxPerKey: 1 });
    const rivals = await serve(connectorOf, request, { maxSize: 6, maxPerKey: 4 });
    figures({ rivals: rivals.served, dials: rivals.dials, fixed: fixed.served });
    assertLess(rivals.dials, rivals.served / 10);
    best = Math.max(best, rivals.served / fixed.served);
  }
  assertGreater(best, 0.8);
}

serverTest(
  ["redis-server"],
  "Redis: keys that compete for 6 connections are served as fast as with a connection for each",
  async () => {
    await using server = await new RedisServer().start();
    await compare(() => redis(server), echo);
  },
);

serverTest(
  ["postgres", "initdb"],
  "PostgreSQL: keys that compete for 6 connections are served as fast as with a connection for each",
  async () => {
    await using server = await new PostgresServer().start();
    await compare(() => postgres(server), select);
  },
);
