import { assert, assertEquals } from "@std/assert";
import { Pool, type PoolOptions } from "@x/sockpool";
import { assertCalls, assertSound, Callers, descriptorsStayFlat, figures } from "./_load.ts";
import { echo, http, NginxServer } from "./_nginx.ts";
import { serverTest, until } from "./_process.ts";

const NEEDS = ["nginx"];
const CALLERS = 30;
const OPTIONS: PoolOptions = {
  maxSize: 10,
  retry: { attempts: Infinity, minDelay: 20, maxDelay: 100 },
};

for (const way of ["http", "https"] as const) {
  serverTest(NEEDS, `nginx over ${way}, killed and started again under load`, async () => {
    await using server = await new NginxServer().start();
    await using _flat = descriptorsStayFlat();
    await using pool = new Pool(http(server, way), OPTIONS);
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
    `nginx over ${way} that ends connections after 7 requests, or a second idle`,
    async () => {
      // The last one is for connections without a request so far.
      const settings = ["keepalive_requests 7", "keepalive_timeout 1s", "client_header_timeout 1s"];
      await using server = await new NginxServer(settings).start();
      await using _flat = descriptorsStayFlat();
      await using pool = new Pool(http(server, way), OPTIONS);
      const call = (tag: string) => pool.use((conn) => echo(conn, tag), { retryStale: true });
      await using callers = new Callers(CALLERS, call);
      await callers.served(10);
      await callers.stop();
      assertCalls(callers, { errors: 0 });
      assert(pool.stats.dials.ok >= callers.total / 7);
      for (let pace = 1; pace <= 2; pace++) {
        assertEquals(await call(`pace ${pace}`), `pace ${pace}`);
        await until(() => pool.stats.size === 0, "the pool has noticed that all are closed");
      }
      figures({ dials: pool.stats.dials.ok, served: callers.total });
      assertEquals(await server.clients(), 0);
    },
  );
}
