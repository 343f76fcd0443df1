import { assertEquals } from "@std/assert";
import { Pool, type PoolOptions } from "@x/sockpool";
import { assertCalls, assertSound, Callers, descriptorsStayFlat, figures } from "./_load.ts";
import { echo, MosquittoServer, mqtt } from "./_mosquitto.ts";
import { serverTest, until } from "./_process.ts";

const NEEDS = ["mosquitto"];
const CALLERS = 30;
const OPTIONS: PoolOptions = {
  maxSize: 10,
  retry: { attempts: Infinity, minDelay: 20, maxDelay: 100 },
};

serverTest(NEEDS, "mosquitto, killed and started again under load", async () => {
  await using server = await new MosquittoServer().start();
  await using _flat = descriptorsStayFlat();
  await using pool = new Pool(mqtt(server), OPTIONS);
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

serverTest(
  NEEDS,
  "mosquitto that disconnects silent clients: every request is served",
  async () => {
    await using server = await new MosquittoServer().start();
    await using _flat = descriptorsStayFlat();
    await using pool = new Pool(mqtt(server, 1), OPTIONS);
    const tags = Array.from({ length: 4 }, (_, n) => `request ${n}`);
    const ask = () => Promise.all(tags.map((tag) => pool.use((conn) => echo(conn, tag))));
    assertEquals(await ask(), tags);
    await until(() => pool.stats.size === 0, "the pool has noticed that all are closed");
    assertEquals(await ask(), tags);
    assertEquals(pool.stats.retired.lost, 4);
  },
);
