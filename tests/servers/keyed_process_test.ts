/** Callers of several keys that compete for the connections to one real server. */

import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { delay } from "@std/async";
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

type SocketConnector = Connector<Socket, SocketLease>;
type Request = (conn: SocketConn, tag: string) => Promise<unknown>;

/** What competes for connections, and how. */
interface Load {
  readonly connectorOf: () => SocketConnector;
  readonly request: Request;
  readonly options: { maxSize: number; maxPerKey: number };
  /** How many callers each key has. Each calls again as soon as it was served. */
  readonly callers: readonly number[];
}

/** A pool under load, and what is measured of it. */
class Rivals implements AsyncDisposable {
  readonly served: number[];
  dials = 0;
  /** In milliseconds, as all that follow. */
  longestDial = 0;
  longestUse = 0;
  longestWait = 0;
  readonly #load: Load;
  readonly #pool: KeyedPool<number, Socket, SocketLease>;

  constructor(load: Load) {
    this.#load = load;
    this.served = load.callers.map(() => 0);
    const onConnect = ({ duration }: { duration: number }) => {
      this.dials++;
      this.longestDial = Math.max(this.longestDial, duration);
    };
    const hooks = { onConnect };
    this.#pool = new KeyedPool(load.connectorOf, { ...load.options, hooks });
  }

  /** Opens a connection for each key, so that the start of the server is not counted. */
  async ready(): Promise<void> {
    for (const key of this.#load.callers.keys()) await this.#pool.ready(key);
    this.dials = 0;
  }

  get total(): number {
    return this.served.reduce((sum, each) => sum + each);
  }

  /**
   * The longest time that a caller of a key may wait: the bound, what a connection that
   * was dialled a moment ago is kept for, the rest of a request, a dial, and the requests of
   * the callers before it. All are measured in this run, so that a busy machine makes all longer.
   */
  get longestRightWait(): number {
    const bound = Math.max(10, 8 * this.longestDial);
    return bound + 2 * this.longestDial + (1 + Math.max(...this.#load.callers)) * this.longestUse;
  }

  /** Runs all callers until then. */
  async run(isOver: () => boolean): Promise<void> {
    const calls = this.#load.callers.flatMap((count, key) =>
      Array.from({ length: count }, (_, caller) => this.#call(key, `${key}.${caller}`, isOver))
    );
    await Promise.all(calls);
  }

  async #call(key: number, caller: string, isOver: () => boolean): Promise<void> {
    for (let n = 0; !isOver(); n++) {
      const begun = performance.now();
      using conn = await this.#pool.acquire(key);
      const lent = performance.now();
      const tag = `request ${n} of caller ${caller}`;
      assertEquals(await this.#load.request(conn, tag), tag);
      this.served[key]!++;
      this.longestWait = Math.max(this.longestWait, lent - begun);
      this.longestUse = Math.max(this.longestUse, performance.now() - lent);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.close();
  }
}

const DURATION = 1_000;
const MOST_ROUNDS = 5;
const SIX_EACH = [6, 6, 6, 6];

/**
 * Six connections for all keys against one for each, both at once: what slows one of them slows the
 * other. The best of some rounds, since the system does not serve all processes of a server alike.
 */
async function compare(connectorOf: () => SocketConnector, request: Request): Promise<void> {
  const load = { connectorOf, request, callers: SIX_EACH };
  let best = 0;
  for (let round = 0; round < MOST_ROUNDS && best < 0.8; round++) {
    await using rivals = new Rivals({ ...load, options: { maxSize: 6, maxPerKey: 4 } });
    await using fixed = new Rivals({ ...load, options: { maxSize: 4, maxPerKey: 1 } });
    await Promise.all([rivals.ready(), fixed.ready()]);
    const end = performance.now() + DURATION;
    const isOver = () => performance.now() > end;
    await Promise.all([rivals.run(isOver), fixed.run(isOver)]);
    const { total, dials, longestWait, longestRightWait } = rivals;
    figures({ rivals: total, dials, fixed: fixed.total, longestWait, longestRightWait });
    assertLess(longestWait, longestRightWait);
    best = Math.max(best, total / fixed.total);
  }
  assertGreater(best, 0.8);
}

/** A key with one caller beside a key with many. */
async function serveLone(connectorOf: () => SocketConnector, request: Request): Promise<void> {
  const options = { maxSize: 2, maxPerKey: 2 };
  await using rivals = new Rivals({ connectorOf, request, options, callers: [20, 1] });
  const { served } = rivals;
  await rivals.run(() => served[1]! >= 20 && served[0]! >= 200);
  const { longestWait, longestRightWait } = rivals;
  figures({ hot: served[0]!, lone: served[1]!, longestWait, longestRightWait });
  assertLess(longestWait, longestRightWait);
}

/** The same connector, whose dials take so many milliseconds longer. */
function slowed(inner: SocketConnector, least: number, most: number): SocketConnector {
  return {
    ...inner,
    async connect(context) {
      await delay(least + Math.random() * (most - least));
      return await inner.connect(context);
    },
  };
}

const DIALS = [
  ["as they are", (inner: SocketConnector) => inner],
  ["of 5 to 8 ms", (inner: SocketConnector) => slowed(inner, 5, 8)],
  ["of 50 to 75 ms", (inner: SocketConnector) => slowed(inner, 50, 75)],
] as const;

/** Starts a server, and tells how to dial it and what to ask it for. */
const SERVERS = [
  [["redis-server"], "Redis", async () => {
    const server = await new RedisServer().start();
    return { server, connectorOf: () => redis(server), request: echo as Request };
  }],
  [["postgres", "initdb"], "PostgreSQL", async () => {
    const server = await new PostgresServer().start();
    return { server, connectorOf: () => postgres(server), request: select as Request };
  }],
] as const;

for (const [programs, name, start] of SERVERS) {
  for (const [which, dialling] of DIALS) {
    const title = `${name}, dials ${which}: competing keys`;

    serverTest(
      programs,
      `${title} get as much from 6 connections as from one for each, and wait no longer than the bound`,
      async () => {
        const { server, connectorOf, request } = await start();
        await using _server = server;
        await compare(() => dialling(connectorOf()), request);
      },
    );

    serverTest(
      programs,
      `${title} are all served, one with a single caller beside a hot one too`,
      async () => {
        const { server, connectorOf, request } = await start();
        await using _server = server;
        await serveLone(() => dialling(connectorOf()), request);
      },
    );
  }
}
