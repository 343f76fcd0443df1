import { assertEquals, assertGreater, assertLessOrEqual, assertRejects } from "@std/assert";
import {
  type Connector,
  failover,
  Pool,
  type PoolOptions,
  type Socket,
  type SocketLease,
} from "@x/sockpool";
import {
  assertCalls,
  assertSound,
  Callers,
  descriptorsStayFlat,
  figures,
  reasons,
} from "./_load.ts";
import { postgres, PostgresError, PostgresServer, query, select, TERMINATED } from "./_postgres.ts";
import { descriptors, serverTest, until } from "./_process.ts";

const NEEDS = ["postgres", "initdb"];
const CALLERS = 30;
const OPTIONS: PoolOptions = {
  maxSize: 10,
  retry: { attempts: Infinity, minDelay: 20, maxDelay: 100 },
};

type SocketPool = Pool<Socket, SocketLease>;

/** Callers of a pool. */
const calling = (pool: SocketPool, count = CALLERS, retryStale = false) =>
  new Callers(count, (tag) => pool.use((conn) => select(conn, tag), { retryStale }));

for (const way of ["tcp", "tls", "unix"] as const) {
  serverTest(NEEDS, `PostgreSQL over ${way}, killed and started again under load`, async () => {
    await using server = await new PostgresServer().start();
    await using _flat = descriptorsStayFlat();
    await using pool = new Pool(postgres(server, way), OPTIONS);
    await using callers = calling(pool);
    await callers.served(3);
    assertCalls(callers, { errors: 0 });
    const isCounted = async () => await server.clients() === pool.stats.size;
    await until(isCounted, "the server has as many clients as the pool"); // a login may be under way

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

/** The outcomes of requests that may be tried twice: a request is repeated only after a farewell. */
class Tries {
  /** The number of requests that were tried twice. */
  repeated = 0;
  /** The number of tries that got the server's farewell only. */
  farewells = 0;
  /** Requests that were tried again after another answer than a farewell. */
  readonly wrong: string[] = [];
  /** Requests that failed with nothing but a farewell, on a session that had been used before. */
  readonly stale: string[] = [];

  /** Makes a request over a pool; it may be tried twice. */
  async request(pool: SocketPool, tag: string): Promise<string> {
    const answers: string[] = [];
    let isStale = false;
    try {
      return await pool.use(async (conn) => {
        if (answers.length > 0) this.repeated++;
        if (answers.some((answer) => answer !== "")) this.wrong.push(`${tag}: ${answers}`);
        try {
          return await select(conn, tag);
        } catch (error) {
          const isFarewell = error instanceof PostgresError && error.code === TERMINATED;
          if (isFarewell) this.farewells++;
          isStale = isFarewell && conn.reused;
          answers.push(isFarewell || conn.received === 0 ? "" : `${error}`);
          throw error;
        }
      }, { retryStale: true });
    } catch (error) {
      if (isStale) this.stale.push(tag);
      throw error;
    }
  }
}

serverTest(
  NEEDS,
  "PostgreSQL that terminates all sessions under load: retryStale hides it, and repeats no answered request",
  async () => {
    await using server = await new PostgresServer().start();
    await using _flat = descriptorsStayFlat();
    const { isStale: _, ...forgetful } = postgres(server);
    const without = await terminating(server, forgetful);
    assertGreater(without.tries.stale.length, 0, "some were in flight");
    const { tries, lost, served } = await terminating(server, postgres(server));
    const { repeated, farewells, stale } = tries;
    figures({
      ...{ without: without.lost, withoutStale: without.tries.stale.length },
      ...{ lost, stale: stale.length, served, repeated, farewells },
    });
    assertEquals(tries.wrong, []);
    assertGreater(farewells, 0, "the server has said farewell to some");
    assertGreater(repeated, 0, "and these were sent once more");
    // How many requests are under way when sessions end is chance. But whether a session says
    // farewell before a request is sent or after, the request is sent once more, to a fresh session.
    assertEquals(stale, []);
    assertLessOrEqual(lost, (served + lost) * 0.05);
  },
);

/** Puts a pool under load while all sessions are terminated repeatedly. */
async function terminating(server: PostgresServer, connector: Connector<Socket, SocketLease>) {
  await using pool = new Pool(connector, OPTIONS);
  const tries = new Tries();
  await using callers = new Callers(CALLERS, (tag) => tries.request(pool, tag));
  await callers.served();
  for (let round = 0; round < 8; round++) {
    assertGreater(await server.terminateClients(), 0);
    await callers.servedInAll(120);
  }
  await callers.stop();
  assertCalls(callers, { errors: 8 * OPTIONS.maxSize! });
  await assertSound(pool, () => server.clients());
  return { tries, lost: callers.errors.length, served: callers.total };
}

serverTest(
  NEEDS,
  "PostgreSQL that terminates idle sessions: no request is sent to one that has said farewell",
  async () => {
    await using server = await new PostgresServer().start();
    await using _flat = descriptorsStayFlat();
    const { isStale: _, ...forgetful } = postgres(server);
    await using pool = new Pool(forgetful, OPTIONS);
    for (let round = 1; round <= 3; round++) {
      await pool.warm(10);
      const sessions = await server.terminateSessions();
      assertEquals(sessions.length, 10);
      await server.sessionsEnded(sessions);
      const tags = Array.from({ length: 10 }, (_, n) => `${round}.${n}`);
      const replies = await Promise.all(tags.map((tag) => pool.use((conn) => select(conn, tag))));
      assertEquals(replies, tags);
    }
    assertEquals(pool.stats.retired.lost, 30);
    await assertSound(pool, () => server.clients());
  },
);

serverTest(NEEDS, "PostgreSQL with idle_session_timeout: every request is served", async () => {
  await using server = await new PostgresServer(["idle_session_timeout=500ms"]).start();
  await using _flat = descriptorsStayFlat();
  await using pool = new Pool(postgres(server), OPTIONS);
  for (let pace = 1; pace <= 3; pace++) {
    const tags = Array.from({ length: 4 }, (_, n) => `${pace}.${n}`);
    const replies = await Promise.all(tags.map((tag) => pool.use((conn) => select(conn, tag))));
    assertEquals(replies, tags);
    await until(() => pool.stats.size === 0, "the pool has noticed that all are closed");
  }
  await until(async () => await server.clients() === 0);
});

serverTest(
  NEEDS,
  "PostgreSQL that hangs: requests in flight time out, later ones are served",
  async () => {
    await using server = await new PostgresServer().start();
    await using _flat = descriptorsStayFlat();
    const connector = postgres(server, "tcp", { ioTimeout: 1_000 });
    await using pool = new Pool(connector, OPTIONS);
    assertEquals(await pool.warm(10), 10);

    await server.pause();
    const requests = Array.from(
      { length: 10 },
      (_, n) => pool.use((conn) => select(conn, `late ${n}`)),
    );
    const outcomes = await Promise.allSettled(requests);
    server.resume();
    const timedOut = outcomes.filter((outcome) =>
      outcome.status === "rejected" && outcome.reason instanceof Deno.errors.TimedOut
    );
    assertEquals(timedOut.length, 10, reasons(outcomes));

    await using callers = calling(pool);
    await callers.served(3);
    await callers.stop();
    assertCalls(callers, { errors: 0 });
    await assertSound(pool, () => server.clients());
  },
);

serverTest(
  NEEDS,
  "PostgreSQL that is full: the pool works with the connections that it has, and grows later",
  async () => {
    await using server = await new PostgresServer([
      "max_connections=16",
      "superuser_reserved_connections=3",
    ]).start();
    await using _flat = descriptorsStayFlat();
    await using others = new Pool(postgres(server), OPTIONS);
    await others.warm(10);
    await using pool = new Pool(postgres(server), OPTIONS);
    await using callers = calling(pool);
    await until(() => pool.stats.dials.failed >= 5, "dials have been refused");
    await callers.served(3);
    assertCalls(callers, { errors: 0 });
    assertLessOrEqual(pool.stats.leased + pool.stats.idle, 3);
    await others.close();
    await callers.served(3);
    await callers.stop();
    assertCalls(callers, { errors: 0 });
    figures({ refused: pool.stats.dials.failed, served: callers.total });
    await assertSound(pool, () => server.clients());
  },
);

const isRefusal = (error: unknown) => error instanceof PostgresError && error.isRefusal;

serverTest(
  NEEDS,
  "PostgreSQL whose password changes: callers get the error at once, and the pool recovers",
  async () => {
    await using server = await new PostgresServer().start();
    await using _flat = descriptorsStayFlat();
    let password = "secret";
    await using pool = new Pool(postgres(server, "tcp", {}, () => password), OPTIONS);
    await using callers = calling(pool);
    await until(() => pool.stats.dials.ok === OPTIONS.maxSize, "all connections are open");
    await server.query("ALTER ROLE app PASSWORD 'new'");
    await callers.served(); // open sessions stay logged in
    assertCalls(callers, { errors: 0 });

    await server.terminateClients();
    await until(() => callers.errors.filter(isRefusal).length >= CALLERS, "logins are refused");
    password = "new";
    await callers.served();
    const refused = callers.errors.filter(isRefusal).length;
    const lost = callers.errors.length - refused;
    assertLessOrEqual(lost, OPTIONS.maxSize!, "one for each connection");
    await callers.served(3);
    await callers.stop();
    assertCalls(callers, { errors: refused + lost });
    figures({ refused, lost, served: callers.total });
    await assertSound(pool, () => server.clients());
  },
);

serverTest(
  NEEDS,
  "Two PostgreSQL behind failover: the second serves while the first is down",
  async () => {
    await using first = await new PostgresServer().start();
    await using second = await new PostgresServer().start();
    await using _flat = descriptorsStayFlat();
    const group = failover([postgres(first), postgres(second)], { minDelay: 20, maxDelay: 100 });
    await using pool = new Pool(group, OPTIONS);
    await using callers = calling(pool);
    await callers.served(3);
    assertEquals([await second.clients(), callers.errors.length], [0, 0]);
    await first.kill();
    await callers.served(3);
    const lost = callers.errors.length;
    assertLessOrEqual(lost, 2 * OPTIONS.maxSize!); // it may accept a few connections while it dies
    await first.start();
    await second.kill();
    await callers.served(3);
    await callers.stop();
    assertCalls(callers, { errors: lost + 2 * OPTIONS.maxSize! });
    figures({ lost: callers.errors.length, served: callers.total });
    await assertSound(pool, () => first.clients());
  },
);

serverTest(
  NEEDS,
  "20 statements that PostgreSQL refuses cost no connection with isFatal, and 20 without",
  async () => {
    await using server = await new PostgresServer().start();
    const connector = postgres(server);
    const { isFatal: _, ...strict } = connector;
    for (const [given, dials] of [[connector, 1], [strict, 20]] as const) {
      await using pool = new Pool(given, OPTIONS);
      for (let n = 0; n < 20; n++) {
        const error = await assertRejects(
          () => pool.use((conn) => query(conn, "SELECT 1 / 0")),
          PostgresError,
        );
        assertEquals(error.code, "22012");
      }
      assertEquals(pool.stats.dials.ok, dials);
    }
  },
);

serverTest(
  NEEDS,
  "60 TLS dials to a PostgreSQL that hangs leave at most maxLingering connections open",
  async () => {
    await using server = await new PostgresServer().start();
    await using _flat = descriptorsStayFlat();
    const before = descriptors();
    await using relay = new SilentAfterSslRequest();
    {
      await using pool = new Pool(postgres(server, "tls"), OPTIONS);
      assertEquals(await pool.use((conn) => select(conn, "tls")), "tls");
    }
    const options = { maxSize: 60, connectTimeout: 100, acquireTimeout: 1_000 };
    const hanging = { port: relay.port, path: "" } as PostgresServer;
    const pool = new Pool(postgres(hanging, "tls", { maxLingering: 8 }), options);
    const dials = Array.from({ length: 60 }, () => pool.acquire());
    for (const { status } of await Promise.allSettled(dials)) assertEquals(status, "rejected");
    await pool.close();
    await until(() => relay.open <= 8, () => `at most 8 are open: ${relay.open}`);
    await relay[Symbol.asyncDispose]();
    await until(() => descriptors() <= before, "all are closed when the peer is gone");
  },
);

/** Accepts PostgreSQL's SSLRequest, then hangs. */
class SilentAfterSslRequest implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #conns = new Set<Deno.Conn>();
  readonly #running = this.#run();
  readonly #serving = new Set<Promise<void>>();

  get port(): number {
    return this.#listener.addr.port;
  }

  /** The number of clients that have not hung up. */
  get open(): number {
    return this.#conns.size;
  }

  async #run(): Promise<void> {
    for await (const conn of this.#listener) {
      this.#conns.add(conn);
      this.#serving.add(this.#serve(conn));
    }
  }

  async #serve(conn: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(1_024);
    try {
      if (await conn.read(buffer) === 8) await conn.write(Uint8Array.of(0x53));
      while (await conn.read(buffer) !== null);
    } catch { // closed from either side
    } finally {
      if (this.#conns.delete(conn)) conn.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const conn of this.#conns) conn.close();
    this.#conns.clear();
    try {
      this.#listener.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error; // disposed of before
    }
    await this.#running;
    await Promise.all(this.#serving);
  }
}
