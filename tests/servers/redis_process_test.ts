import { assert, assertEquals, assertGreater, assertLess, assertLessOrEqual } from "@std/assert";
import { failover, Pool, type PoolOptions, type Socket, type SocketLease } from "@x/sockpool";
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
