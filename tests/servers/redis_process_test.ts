import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertLessOrEqual,
  assertRejects,
} from "@std/assert";
import {
  type Connector,
  failover,
  KeyedPool,
  Pool,
  PoolClosedError,
  type PoolOptions,
  type Socket,
  type SocketLease,
  tcp,
} from "@x/sockpool";
import {
  assertCalls,
  assertSound,
  Callers,
  descriptorsStayFlat,
  figures,
  reasons,
} from "./_load.ts";
import { serverTest, until } from "./_process.ts";
import { call, echo, redis, RedisError, redisLogin, RedisServer } from "./_redis.ts";

const NEEDS = ["redis-server"];
const CALLERS = 30;
const OPTIONS: PoolOptions = {
  maxSize: 10,
  retry: { attempts: Infinity, minDelay: 20, maxDelay: 100 },
};

type SocketPool = Pool<Socket, SocketLease>;

/** Callers of a pool. */
const calling = (pool: SocketPool, count = CALLERS, retryStale = false) =>
  new Callers(count, (tag) => pool.use((conn) => echo(conn, tag), { retryStale }));

for (const way of ["tcp", "tls", "unix"] as const) {
  serverTest(NEEDS, `Redis over ${way}, killed and started again under load`, async () => {
    await using server = await new RedisServer().start();
    await using _flat = descriptorsStayFlat();
    await using pool = new Pool(redis(server, way), OPTIONS);
    await using callers = calling(pool);
    await callers.served(3);
    assertCalls(callers, { errors: 0 });

    await server.kill();
    await until(() => pool.stats.waiting === CALLERS, "all callers wait");
    const lost = callers.errors.length;
    assertCalls(callers, { errors: pool.stats.dials.ok }); // one for each connection: the requests in flight

    await server.start();
    await callers.served(3);
    await callers.stop();
    assertCalls(callers, { errors: lost }); // none since its return
    figures({ lost, served: callers.total });
    await assertSound(pool, () => server.clients());
  });
}

/** Puts a pool under load while all clients are killed repeatedly; returns how many requests failed. */
async function killingClients(server: RedisServer, retryStale: boolean): Promise<number> {
  await using pool = new Pool(redis(server), OPTIONS);
  await using callers = calling(pool, CALLERS, retryStale);
  await callers.served();
  for (let kill = 0; kill < 20; kill++) {
    await server.killClients();
    await callers.servedInAll(120);
  }
  await callers.stop();
  assertCalls(callers, { errors: 20 * pool.stats.maxSize });
  await assertSound(pool, () => server.clients());
  return callers.errors.length;
}

serverTest(
  NEEDS,
  "Redis that kills all clients 20 times under load: retryStale hides it",
  async () => {
    await using server = await new RedisServer().start();
    await using _flat = descriptorsStayFlat();
    const without = await killingClients(server, false);
    const errors = await killingClients(server, true);
    figures({ without, errors });
    assertGreater(without, 0, "some were in flight");
    assertLess(errors, without / 4);
  },
);

serverTest(
  NEEDS,
  "Redis that hangs: requests in flight time out, later ones are served",
  async () => {
    await using server = await new RedisServer().start();
    await using _flat = descriptorsStayFlat();
    await using pool = new Pool(redis(server, "tcp", { ioTimeout: 500 }), OPTIONS);
    assertEquals(await pool.warm(10), 10);

    await server.pause();
    const requests = Array.from(
      { length: CALLERS },
      (_, n) => pool.use((conn) => echo(conn, `late ${n}`)),
    );
    const outcomes = await Promise.allSettled(requests);
    server.resume();
    const timedOut = outcomes.filter((outcome) =>
      outcome.status === "rejected" && outcome.reason instanceof Deno.errors.TimedOut
    );
    assertEquals(timedOut.length, CALLERS, reasons(outcomes));

    await using callers = calling(pool);
    await callers.served(3);
    await callers.stop();
    assertCalls(callers, { errors: 0 });
    await assertSound(pool, () => server.clients());
  },
);

serverTest(NEEDS, "Redis that closes idle connections: every request is served", async () => {
  await using server = await new RedisServer(["--timeout", "1"]).start();
  await using _flat = descriptorsStayFlat();
  await using pool = new Pool(redis(server), OPTIONS);
  for (let pace = 1; pace <= 3; pace++) {
    const tags = Array.from({ length: 4 }, (_, n) => `${pace}.${n}`);
    const replies = await Promise.all(tags.map((tag) => pool.use((conn) => echo(conn, tag))));
    assertEquals(replies, tags);
    await until(() => pool.stats.size === 0, "the pool has noticed that all are closed");
    assertEquals(pool.stats.retired.lost, 4 * pace);
  }
  assertEquals(await server.clients(), 0);
});

serverTest(
  NEEDS,
  "Redis that is full: the pool works with the connections that it has, and grows later",
  async () => {
    await using server = await new RedisServer(["--maxclients", "8"]).start();
    await using _flat = descriptorsStayFlat();
    await using pool = new Pool(redisLogin(redis(server)), { ...OPTIONS, maxSize: 20 });
    await using callers = calling(pool, 40);
    await until(() => pool.stats.dials.failed >= 5, "dials have been refused");
    await callers.served(3);
    assertCalls(callers, { errors: 0 });
    assertLessOrEqual(pool.stats.leased + pool.stats.idle, 8);
    await pool.use((conn) => call(conn, "CONFIG", "SET", "maxclients", "100"));
    await callers.served(3);
    await callers.stop();
    assertCalls(callers, { errors: 0 });
    await assertSound(pool, () => server.clients());
  },
);

serverTest(
  NEEDS,
  "Redis whose password changes: callers get the error at once, and the pool recovers",
  async () => {
    await using server = await new RedisServer([], "old").start();
    await using _flat = descriptorsStayFlat();
    let password = "old";
    const connector = redisLogin(redis(server), () => password);
    await using pool = new Pool({
      ...connector,
      isRetryable: (error) => !(error instanceof RedisError),
    }, OPTIONS);
    await using callers = calling(pool);
    await until(() => pool.stats.dials.ok === OPTIONS.maxSize, "all connections are open");
    await server.call("CONFIG", "SET", "requirepass", "new");
    server.password = "new";
    await callers.served(); // open sessions stay logged in
    assertCalls(callers, { errors: 0 });

    await server.killClients();
    await until(() => callers.errors.filter(isRefusal).length >= CALLERS, "logins are refused");
    const { errors } = callers;
    assertLessOrEqual(errors.length - errors.filter(isRefusal).length, OPTIONS.maxSize!);
    password = "new";
    await callers.served(3);
    await callers.stop();
    assertCalls(callers, { errors: errors.length });
    await assertSound(pool, () => server.clients());
  },
);

const isRefusal = (error: unknown) =>
  error instanceof RedisError && error.message.startsWith("WRONGPASS");

serverTest(
  NEEDS,
  "Two Redis behind failover: the second serves while the first is down",
  async () => {
    await using first = await new RedisServer().start();
    await using second = await new RedisServer().start();
    await using _flat = descriptorsStayFlat();
    const group = failover([redis(first), redis(second)], { minDelay: 20, maxDelay: 100 });
    await using pool = new Pool(group, OPTIONS);
    await using callers = calling(pool);
    await callers.served(3);
    assertEquals([await second.clients(), callers.errors.length], [0, 0]);

    await first.kill();
    await callers.served(3);
    const lost = callers.errors.length;
    assertLessOrEqual(lost, 2 * OPTIONS.maxSize!); // it may accept a few connections while it dies
    await first.start();
    await callers.served(3);
    assert(await second.clients() > 0, "open connections stay");
    await second.kill();
    await callers.served(3);
    await callers.stop();
    assertCalls(callers, { errors: lost + 2 * OPTIONS.maxSize! });
    await assertSound(pool, () => first.clients());
  },
);

/** Pools of one server, and what pauses and clears them: as a whole, or by their one key. */
const OPERATED = {
  Pool: (connector: Connector<Socket, SocketLease>) => {
    const pool = new Pool(connector, OPTIONS);
    return { pool, operated: pool, one: pool };
  },
  KeyedPool: (connector: Connector<Socket, SocketLease>) => {
    const pool = new KeyedPool((_: string) => connector, { ...OPTIONS, maxPerKey: 10 });
    return { pool, operated: pool, one: pool.at("redis") };
  },
  "A key of a KeyedPool": (connector: Connector<Socket, SocketLease>) => {
    const pool = new KeyedPool((_: string) => connector, { ...OPTIONS, maxPerKey: 10 });
    return { pool, operated: pool.at("redis"), one: pool.at("redis") };
  },
};

for (const [title, poolOf] of Object.entries(OPERATED)) {
  serverTest(
    NEEDS,
    `${title}, a drill with two Redis: paused, switched, resumed, and no request fails`,
    async () => {
      await using first = await new RedisServer().start();
      await using second = await new RedisServer().start();
      let active = first;
      const { pool, operated, one } = poolOf(tcp({ port: () => active.port }));
      await using _pool = pool;
      await using callers = new Callers(CALLERS, (tag) => one.use((conn) => echo(conn, tag)));
      await callers.served(3);
      operated.pause();
      await until(() => one.stats!.waiting === CALLERS, "all callers wait");
      assertEquals([one.stats!.leased, callers.inFlight], [0, CALLERS]);
      const { total } = callers;
      await first.kill();
      active = second;
      operated.clear("the server has moved");
      assertEquals([one.stats!.idle, callers.total], [0, total]);
      operated.resume();
      await callers.served(3);
      await callers.stop();
      assertCalls(callers, { errors: 0 });
      await until(async () => await second.clients() === one.stats!.idle, "the second has all");
      figures({ served: callers.total });
    },
  );

  serverTest(
    NEEDS,
    `${title}, Redis under load: recycle() replaces all, one at a time, and no request fails`,
    async () => {
      await using server = await new RedisServer().start();
      const { pool, operated, one } = poolOf(redis(server));
      await using _pool = pool;
      await using callers = new Callers(CALLERS, (tag) => one.use((conn) => echo(conn, tag)));
      await until(() => one.stats!.size === OPTIONS.maxSize, "all are open");
      await callers.served(3);
      let fewest = Infinity;
      const look = () => {
        const { leased, idle, preparing } = one.stats!;
        fewest = Math.min(fewest, leased + idle + preparing);
      };
      using _hooks = pool.observe({ onRetire: look, onConnect: look, onRelease: look });
      const before = await idsOf(server);
      await Promise.all([operated.recycle({ over: 100 }), operated.recycle()]);
      await until(
        async () => !(await idsOf(server)).some((id) => before.includes(id)),
        "the server has none of the old ones",
      );
      assertGreaterOrEqual(fewest, OPTIONS.maxSize! - 1);
      await callers.stop();
      assertCalls(callers, { errors: 0 });
      figures({ served: callers.total });
    },
  );

  serverTest(
    NEEDS,
    `${title}, Redis under load: a close that serves the waiters serves them all, and refuses later ones`,
    async () => {
      await using server = await new RedisServer().start();
      await using _flat = descriptorsStayFlat();
      const { pool, one } = poolOf(redis(server));
      const request = (tag: string) => one.use((conn) => echo(conn, tag));
      const first = Array.from({ length: 200 }, (_, n) => request(`first ${n}`));
      await first[0];
      const waiting = one.stats!.waiting;
      const closed = pool.close({ waiters: "serve" });
      await assertRejects(() => request("later"), PoolClosedError);
      assertEquals(await Promise.all(first), first.map((_, n) => `first ${n}`));
      await closed;
      assertGreater(waiting, 0);
      assertEquals(await server.clients(), 0);
    },
  );
}

/** The server's names of its clients' connections. */
async function idsOf(server: RedisServer): Promise<string[]> {
  const list = `${await server.call("CLIENT", "LIST", "TYPE", "normal")}`;
  const others = list.split("\n").filter((line) => !line.includes("cmd=client"));
  return others.flatMap((line) => line.match(/^id=(\d+)/)?.[1] ?? []);
}
