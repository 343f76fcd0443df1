import { assertEquals } from "@std/assert";
import { Pool } from "@x/sockpool";
import { assertCalls, assertSound, Callers, descriptorsStayFlat } from "./_load.ts";
import { serverTest, until } from "./_process.ts";
import { echo, RedisServer, redisWays } from "./_redis.ts";

const NEEDS = ["redis-server"];
const MAX_SIZE = 10;
const CALLERS = 30;
const RETRY = { attempts: Infinity, minDelay: 20, maxDelay: 100 };

for (const way of ["tcp", "tls", "unix"] as const) {
  serverTest(NEEDS, `Redis over ${way}, killed and started again under 30 callers`, async () => {
    await using server = await new RedisServer().start();
    await using _flat = descriptorsStayFlat();
    await using pool = new Pool(redisWays[way](server) as ReturnType<typeof redisWays.tcp>, {
      maxSize: MAX_SIZE,
      retry: RETRY,
    });
    await using callers = new Callers(CALLERS, (tag) => pool.use((conn) => echo(conn, tag)));
    await callers.served(3);
    assertCalls(callers, { errors: 0 });

    await server.kill();
    await until(() => pool.stats.waiting === CALLERS, "all callers wait");
    const lost = callers.errors.length;
    assertCalls(callers, { errors: pool.stats.dials.ok }); // one a connection: what was in flight

    await server.start();
    await callers.served(3);
    assertEquals(callers.errors.length, lost, "once it is back nothing is lost");
    await callers.stop();
    assertCalls(callers, { errors: lost });
    await assertSound(pool, () => server.clients());
  });
}
