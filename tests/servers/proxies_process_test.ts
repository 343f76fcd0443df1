import { assertEquals, assertGreater, assertLess, assertLessOrEqual } from "@std/assert";
import {
  type Connector,
  Pool,
  type PoolOptions,
  type Socket,
  type SocketLease,
  tcp,
  tls,
} from "@x/sockpool";
import { assertCalls, assertSound, Callers, descriptorsStayFlat, figures } from "./_load.ts";
import { EchoServer, mute } from "../support/echo_server.ts";
import { certificates, connectionsTo, serverTest, until } from "./_process.ts";
import { HaproxyServer, HttpProxyServer, SocksServer } from "./_proxies.ts";
import { echo, redisLogin, RedisServer } from "./_redis.ts";

const CALLERS = 30;
const OPTIONS: PoolOptions = {
  maxSize: 10,
  retry: { attempts: Infinity, minDelay: 20, maxDelay: 100 },
};

type AnyConnector = Connector<Socket, SocketLease>;

/** A pool whose init makes a request to the server behind the proxy. */
const poolOf = (connector: unknown) => new Pool(redisLogin(connector as AnyConnector), OPTIONS);

const calling = (pool: Pool<Socket, SocketLease>, retryStale = false) =>
  new Callers(CALLERS, (tag) => pool.use((conn) => echo(conn, tag), { retryStale }));

const HAPROXY = ["redis-server", "haproxy"];

serverTest(HAPROXY, "haproxy that cuts idle connections: every request is served", async () => {
  await using server = await new RedisServer().start();
  await using proxy = await new HaproxyServer(server, 500).start();
  await using _flat = descriptorsStayFlat();
  await using pool = poolOf(tcp({ port: proxy.port }));
  for (let pace = 1; pace <= 3; pace++) {
    const tags = Array.from({ length: 4 }, (_, n) => `pace ${pace} ${n}`);
    const replies = await Promise.all(tags.map((tag) => pool.use((conn) => echo(conn, tag))));
    assertEquals(replies, tags);
    await until(() => pool.stats.size === 0, "the pool has noticed that all are closed");
  }
  assertEquals(pool.stats.retired.lost, 12);
  await until(async () => await server.clients() === 0, "nothing is left");
});

serverTest(
  HAPROXY,
  "haproxy that cuts all connections 20 times under load: retryStale hides it",
  async () => {
    await using server = await new RedisServer().start();
    await using proxy = await new HaproxyServer(server).start();
    await using _flat = descriptorsStayFlat();
    const cutting = async (retryStale: boolean) => {
      await using pool = poolOf(tcp({ port: proxy.port }));
      await using callers = calling(pool, retryStale);
      await callers.served();
      for (let cut = 0; cut < 20; cut++) {
        await proxy.cutAll();
        await callers.servedInAll(120);
      }
      await callers.stop();
      assertCalls(callers, { errors: 20 * OPTIONS.maxSize! });
      await assertSound(pool, () => server.clients());
      return callers.errors.length;
    };
    const without = await cutting(false);
    const errors = await cutting(true);
    figures({ without, errors });
    assertLess(errors, without / 4);
  },
);

serverTest(
  HAPROXY,
  "haproxy whose server is killed, then haproxy itself: the pool recovers when both are back",
  async () => {
    await using server = await new RedisServer().start();
    await using proxy = await new HaproxyServer(server).start();
    await using _flat = descriptorsStayFlat();
    await using pool = poolOf(tcp({ port: proxy.port }));
    await using callers = calling(pool);
    await callers.served(3);
    assertCalls(callers, { errors: 0 });
    for (const part of [server, proxy]) {
      const before = callers.errors.length;
      await part.kill();
      await until(() => pool.stats.waiting === CALLERS, "all callers wait");
      assertLessOrEqual(callers.errors.length - before, 2 * OPTIONS.maxSize!);
      const lost = callers.errors.length;
      await part.start();
      await callers.served(3);
      assertCalls(callers, { errors: lost });
    }
    await callers.stop();
    figures({ lost: callers.errors.length, served: callers.total });
    await assertSound(pool, () => server.clients());
  },
);

const proxies = {
  SOCKS5: { program: "microsocks", make: () => new SocksServer(), scheme: "socks5" },
  CONNECT: { program: "tinyproxy", make: () => new HttpProxyServer(), scheme: "http" },
};

for (const [name, { program, make, scheme }] of Object.entries(proxies)) {
  for (const way of ["plain", "TLS"]) {
    serverTest(
      ["redis-server", program],
      `Redis through ${name}, ${way}: the proxy is killed and started again`,
      async () => {
        await using server = await new RedisServer().start();
        await using proxy = await make().start();
        await using _flat = descriptorsStayFlat();
        const through = { hostname: "localhost", proxy: `${scheme}://127.0.0.1:${proxy.port}` };
        await using pool = poolOf(
          way === "plain"
            ? tcp({ ...through, port: server.port })
            : tls({ ...through, port: server.tlsPort, caCerts: [certificates.authority()] }),
        );
        await using callers = calling(pool);
        await callers.served(3);
        assertCalls(callers, { errors: 0 });
        await proxy.kill();
        await until(() => pool.stats.waiting === CALLERS, "all callers wait");
        const lost = callers.errors.length;
        assertCalls(callers, { errors: pool.stats.dials.ok });
        await proxy.start();
        await callers.served(3);
        await callers.stop();
        assertCalls(callers, { errors: lost });
        figures({ lost, served: callers.total });
        await assertSound(pool, () => server.clients());
      },
    );
  }

  serverTest(
    [program],
    `60 TLS dials through ${name} to a silent server leave at most maxLingering open`,
    async () => {
      await using server = EchoServer.listen(mute);
      await using proxy = await make().start();
      await using flat = descriptorsStayFlat();
      const connector = tls({
        hostname: "localhost",
        port: server.port,
        proxy: `${scheme}://127.0.0.1:${proxy.port}`,
        maxLingering: 8,
      });
      const options = { maxSize: 60, connectTimeout: 200, acquireTimeout: 2_000 };
      const pool = new Pool(connector, options);
      const dials = Array.from({ length: 60 }, () => pool.acquire());
      for (const { status } of await Promise.allSettled(dials)) assertEquals(status, "rejected");
      const { lingering } = pool.stats;
      await pool.close();
      assertGreater(server.accepts, 0, "some have come through");
      await until(() => connectionsTo(proxy.port) <= 8, "at most 8 are open");
      assertLessOrEqual(lingering, 8);
      server.hangUp();
      await flat[Symbol.asyncDispose]();
    },
  );
}
