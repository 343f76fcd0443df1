import { assertEquals, assertLessOrEqual } from "@std/assert";
import { Pool, type PoolOptions } from "@x/sockpool";
import { assertCalls, assertSound, Callers, descriptorsStayFlat, figures } from "./_load.ts";
import { echo, memcached, MemcachedServer } from "./_memcached.ts";
import { serverTest, until } from "./_process.ts";

const NEEDS = ["memcached"];
const CALLERS = 30;
const OPTIONS: PoolOptions = {
  maxSize: 10,
  retry: { attempts: Infinity, minDelay: 20, maxDelay: 100 },
};

serverTest(NEEDS, "memcached, killed and started again under load", async () => {
  await using server = await new MemcachedServer().start();
  await using _flat = descriptorsStayFlat();
  await using pool = new Pool(memcached(server), OPTIONS);
  await using callers = new Callers(CALLERS, (tag) => pool.use((conn) => echo(conn, tag)));
  await callers.served(3);
  assertCalls(callers, { errors: 0 });
  await server.kill();
  await until(() => pool.stats.waiting === CALLERS, "all callers wait");
  const lost = callers.errors.length;
  assertCalls(callers, { errors: pool.stats.dials.ok }); // one for each connection: the requests in flight
  await server.start();
  await callers.served(3);
  await callers.stop();
  assertCalls(callers, { errors: lost });
  figures({ lost, served: callers.total });
  await assertSound(pool, () => server.clients());
});

serverTest(NEEDS, "memcached that closes idle connections: every request is served", async () => {
  await using server = await new MemcachedServer(["-o", "idle_timeout=1"]).start();
  await using _flat = descriptorsStayFlat();
  await using pool = new Pool(memcached(server), OPTIONS);
  for (let pace = 1; pace <= 2; pace++) {
    const tags = Array.from({ length: 4 }, (_, n) => `pace ${pace} ${n}`);
    const replies = await Promise.all(tags.map((tag) => pool.use((conn) => echo(conn, tag))));
    assertEquals(replies, tags);
    await until(() => pool.stats.size === 0, "the pool has noticed that all are closed");
  }
  assertEquals(pool.stats.retired.lost, 8);
});

serverTest(
  NEEDS,
  "memcached that is full: the pool works with the connections that it has",
  async () => {
    await using server = await new MemcachedServer(["-c", "20"]).start();
    await using _flat = descriptorsStayFlat();
    await using pool = new Pool(memcached(server), { ...OPTIONS, maxSize: 40 });
    await using callers = new Callers(60, (tag) => pool.use((conn) => echo(conn, tag)));
    await until(() => pool.stats.dials.failed >= 5, "dials have been refused");
    await callers.served(3);
    assertLessOrEqual(pool.stats.leased + pool.stats.idle, 20);
    await callers.stop();
    assertCalls(callers, { errors: 0 });
    figures({ refused: pool.stats.dials.failed, served: callers.total });
  },
);
