import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { Pool, type PoolOptions } from "@x/sockpool";
import { assertCalls, assertSound, Callers, descriptorsStayFlat, figures } from "./_load.ts";
import { mariaDb, MariaDbServer, select } from "./_mariadb.ts";
import { serverTest, until } from "./_process.ts";

const NEEDS = ["mariadbd", "mariadb-install-db"];
const CALLERS = 30;
const OPTIONS: PoolOptions = {
  maxSize: 10,
  retry: { attempts: Infinity, minDelay: 20, maxDelay: 100 },
};

serverTest(NEEDS, "MariaDB, killed and started again, its connections killed too", async () => {
  await using server = await new MariaDbServer().start();
  await using _flat = descriptorsStayFlat();
  await using pool = new Pool(mariaDb(server), OPTIONS);
  await using callers = new Callers(
    CALLERS,
    (tag) => pool.use((conn) => select(conn, tag), { retryStale: true }),
  );
  await callers.served(3);
  const isCounted = async () => await server.clients() === pool.stats.size;
  await until(isCounted, "the server has as many clients as the pool"); // a login may be under way
  let killed = 0;
  for (let round = 0; round < 5; round++) {
    killed += await server.killClients();
    await callers.servedInAll(120);
  }
  assert(killed > 0);
  assertCalls(callers, { errors: killed });
  const lostByKill = callers.errors.length;

  await server.kill();
  await until(() => pool.stats.waiting === CALLERS, "all callers wait");
  const lost = callers.errors.length;
  assertLessOrEqual(lost - lostByKill, 2 * OPTIONS.maxSize!);
  await server.start();
  await callers.served(3);
  await callers.stop();
  assertCalls(callers, { errors: lost });
  figures({ killed, lostByKill, lost: lost - lostByKill, served: callers.total });
  await assertSound(pool, () => server.clients());
});

serverTest(NEEDS, "MariaDB with wait_timeout, and full: requests are served", async () => {
  const server = new MariaDbServer(["wait-timeout=1", "max-connections=10"]);
  await using _server = await server.start();
  await using _flat = descriptorsStayFlat();
  await using pool = new Pool(mariaDb(server), { ...OPTIONS, maxSize: 20 });
  for (let pace = 1; pace <= 2; pace++) {
    const tags = Array.from({ length: 4 }, (_, n) => `${pace}.${n}`);
    const replies = await Promise.all(tags.map((tag) => pool.use((conn) => select(conn, tag))));
    assertEquals(replies, tags);
    await until(() => pool.stats.size === 0, "the pool has noticed that all are closed");
  }
  assertEquals(await server.clients(), 0);

  await using callers = new Callers(40, (tag) => pool.use((conn) => select(conn, tag)));
  await until(() => pool.stats.dials.failed >= 5, "dials have been refused");
  await callers.served(3);
  assertLessOrEqual(pool.stats.leased + pool.stats.idle, 10);
  // A dial that is about to be refused can take the place reserved for the superuser.
  const grow = () => server.query("SET GLOBAL max_connections = 100").then(() => true);
  await until(() => grow().catch(() => false), "the server takes more connections");
  await callers.served(3);
  await callers.stop();
  assertCalls(callers, { errors: 0 });
  figures({ refused: pool.stats.dials.failed, served: callers.total });
});
