import { assert, assertEquals, assertLessOrEqual, assertRejects } from "@std/assert";
import { Pool, type PoolOptions } from "@x/sockpool";
import {
  assertCalls,
  assertSound,
  Callers,
  descriptorsStayFlat,
  figures,
  reasons,
} from "./_load.ts";
import { MariaDbServer } from "./_mariadb.ts";
import type { Rivals } from "./_npm.ts";
import { PostgresServer } from "./_postgres.ts";
import { descriptors, type Server, serverTest, until } from "./_process.ts";
import { RedisServer } from "./_redis.ts";

const CALLERS = 30;
const OPTIONS: PoolOptions = {
  maxSize: 10,
  retry: { attempts: Infinity, minDelay: 20, maxDelay: 100 },
};

/** A driver and its server. */
interface Subject {
  readonly needs: readonly string[];
  serve(): Promise<Server & { clients(): Promise<number> }>;
  /** Ends all sessions of the driver. */
  killClients(server: Server): Promise<unknown>;
  rivals(port: number, timeout?: number): Promise<Rivals<object>>;
}

const npm = () => import("./_npm.ts");

const subjects: Record<string, Subject> = {
  pg: {
    needs: ["postgres", "initdb"],
    serve: () => new PostgresServer().start(),
    killClients: (server) => (server as PostgresServer).terminateClients(),
    rivals: async (...to) => await (await npm()).pgOf(...to) as Rivals<object>,
  },
  mysql2: {
    needs: ["mariadbd", "mariadb-install-db"],
    serve: () => new MariaDbServer().start(),
    killClients: (server) => (server as MariaDbServer).killClients(),
    rivals: async (...to) => await (await npm()).mysqlOf(...to) as Rivals<object>,
  },
  redis: {
    needs: ["redis-server"],
    serve: () => new RedisServer().start(),
    killClients: (server) => (server as RedisServer).killClients(),
    rivals: async (...to) => await (await npm()).redisOf(...to) as unknown as Rivals<object>,
  },
};

for (const [name, { needs, serve, killClients, rivals }] of Object.entries(subjects)) {
  serverTest(needs, `${name} over a pool: its server is killed and started again`, async () => {
    await using server = await serve();
    await using _flat = descriptorsStayFlat();
    const { connector, echo, ownPool } = await rivals(server.port);
    await using pool = new Pool(connector, OPTIONS);
    {
      await using own = ownPool(OPTIONS.maxSize!);
      await using control = new Callers(CALLERS, (tag) => own.echo(tag));
      await using callers = new Callers(
        CALLERS,
        (tag) => pool.use(({ value }) => echo(value, tag)),
      );
      await Promise.all([callers.served(3), control.served(3)]);
      assertCalls(callers, { errors: 0 });

      await server.kill();
      await until(() => pool.stats.waiting === CALLERS, "all callers wait");
      const lost = callers.errors.length;
      assertLessOrEqual(lost, pool.stats.dials.ok, "one for each connection");
      await server.start();
      await callers.served(3);
      await callers.stop();
      await control.stop();
      assertCalls(callers, { errors: lost });
      assertLessOrEqual(lost, control.errors.length + OPTIONS.maxSize!);
      figures({ lost, served: callers.total, lostByOwnPool: control.errors.length });
    }
    await assertSound(pool, () => server.clients());
  });

  serverTest(
    needs,
    `${name} over a pool: sessions are ended while they are idle, and in use`,
    async () => {
      await using server = await serve();
      await using _flat = descriptorsStayFlat();
      const { connector, echo } = await rivals(server.port);
      await using pool = new Pool(connector, OPTIONS);
      await pool.warm(10);
      await killClients(server);
      await until(() => pool.stats.size === 0, "the pool has noticed that all are closed");
      assertEquals(pool.stats.retired.lost, 10);
      assertEquals(await pool.use(({ value }) => echo(value, "again")), "again");

      await using callers = new Callers(
        CALLERS,
        (tag) => pool.use(({ value }) => echo(value, tag)),
      );
      for (let round = 0; round < 5; round++) {
        await callers.servedInAll(120);
        await killClients(server);
      }
      await callers.served();
      await callers.stop();
      assertCalls(callers, { errors: 5 * OPTIONS.maxSize! });
      figures({ lost: callers.errors.length, served: callers.total });
      await assertSound(pool, () => server.clients());
    },
  );

  serverTest(
    needs,
    `${name} over a pool: requests that are refused cost no connection`,
    async () => {
      await using server = await serve();
      await using _flat = descriptorsStayFlat();
      const { connector, echo, refused } = await rivals(server.port);
      await using pool = new Pool(connector, { ...OPTIONS, maxSize: 2 });
      for (let n = 0; n < 10; n++) {
        await assertRejects(() => pool.use(({ value }) => refused(value)));
        assertEquals(await pool.use(({ value }) => echo(value, `${n}`)), `${n}`);
      }
      assertEquals(Object.entries(pool.stats.retired).filter(([, count]) => count > 0), []);
      await assertSound(pool, () => server.clients());
    },
  );

  serverTest(
    needs,
    `${name} over a pool: a client that its borrower ends is not lent again`,
    async () => {
      await using server = await serve();
      await using _flat = descriptorsStayFlat();
      const { connector, echo, end } = await rivals(server.port);
      await using pool = new Pool(connector, { ...OPTIONS, maxSize: 1 });
      for (let n = 1; n <= 5; n++) {
        assertEquals(await pool.use(({ value }) => echo(value, `${n}`)), `${n}`);
        await pool.use(async ({ value }) => void await end(value));
      }
      assertEquals(pool.stats.dials.ok, 5);
      await assertSound(pool, () => server.clients());
    },
  );

  serverTest(
    needs,
    `${name} over a pool: what a borrower has left behind does not reach the next one`,
    async () => {
      await using server = await serve();
      await using _flat = descriptorsStayFlat();
      const { connector, litter, leftOver } = await rivals(server.port);
      await using pool = new Pool(connector, { ...OPTIONS, maxSize: 1 });
      for (let n = 0; n < 3; n++) {
        await pool.use(({ value }) => litter(value));
        assertEquals(await pool.use(({ value }) => leftOver(value)), "");
      }
      assertEquals(pool.stats.dials.ok, 1);
      await assertSound(pool, () => server.clients());
    },
  );

  serverTest(
    needs,
    `${name} over a pool: a wrong password is final, however many attempts are allowed`,
    async () => {
      await using server = await serve();
      await using _flat = descriptorsStayFlat();
      const { connector, mistaken } = await rivals(server.port);
      await using pool = new Pool(connector, OPTIONS);
      const wrong = await pool.use(({ value }) => mistaken(value));
      await using refused = new Pool(wrong, OPTIONS);
      const error = await assertRejects(() => refused.acquire());
      assertEquals(refused.stats.dials, { ok: 0, failed: 1 });
      assert(!Deno.inspect(error).includes("hunter2"), Deno.inspect(error));
    },
  );

  serverTest(
    needs,
    `${name} over a pool: a deadline in a request frees the slot and the socket, whatever the server does`,
    async () => {
      await using server = await serve();
      await using _flat = descriptorsStayFlat();
      const { connector, echo, slow } = await rivals(server.port);
      const before = descriptors();
      await using pool = new Pool(connector, { ...OPTIONS, maxSize: 3, checkTimeout: Infinity });
      await pool.warm(3);
      const cut = Array.from(
        { length: 3 },
        () => assertRejects(() => pool.use(({ value }) => slow(value), { deadline: 500 })),
      );
      await server.pause(); // it answers nothing, and hangs up on nobody
      await Promise.all(cut);
      await until(() => pool.stats.size === 0, "the slots are free");
      await until(() => descriptors() <= before, "their sockets are closed");
      server.resume();
      const tags = Array.from({ length: 9 }, (_, n) => `after it ${n}`);
      const replies = tags.map((tag) => pool.use(({ value }) => echo(value, tag)));
      assertEquals(await Promise.all(replies), tags);
      assertEquals(pool.stats.retired.discarded, 3);
    },
  );

  serverTest(needs, `${name} over a pool: its server hangs, and goes on`, async () => {
    await using server = await serve();
    await using _flat = descriptorsStayFlat();
    const { connector, echo } = await rivals(server.port, 1_000);
    await using pool = new Pool(connector, { ...OPTIONS, checkAfter: 60_000 });
    await pool.warm(10);
    await server.pause();
    const requests = Array.from(
      { length: 10 },
      (_, n) => pool.use(({ value }) => echo(value, `late ${n}`)),
    );
    const outcomes = await Promise.allSettled(requests);
    server.resume();
    const failed = outcomes.filter(({ status }) => status === "rejected");
    assertEquals(failed.length, 10, reasons(outcomes));

    await using callers = new Callers(CALLERS, (tag) => pool.use(({ value }) => echo(value, tag)));
    await callers.served(3);
    await callers.stop();
    assertCalls(callers, { errors: 0 });
    await assertSound(pool, () => server.clients());
  });

  serverTest(
    needs,
    `${name} over a pool: clients of a server that hangs are closed, and keep no socket`,
    async () => {
      await using server = await serve();
      const { connector } = await rivals(server.port);
      const before = descriptors();
      await using pool = new Pool(connector, { ...OPTIONS, maxSize: 3, checkTimeout: Infinity });
      await pool.warm(3);
      await server.pause();
      pool.clear();
      await until(() => pool.stats.size === 0, "all are closed");
      await until(() => descriptors() <= before, "their sockets are closed");
      server.resume();
    },
  );

  serverTest(needs, `${name} over a pool: idle clients do not hold the process`, async () => {
    await using server = await serve();
    const program = new URL("./_idle_client.ts", import.meta.url).href;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--quiet", "-A", program, name, `${server.port}`],
      env: { NO_COLOR: "1" },
      signal: AbortSignal.timeout(30_000),
    }).output();
    const text = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
    assertEquals([code, text], [0, "1 idle\n"]);
  });
}
