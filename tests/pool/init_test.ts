import { assertEquals, assertGreater, assertLessOrEqual, assertRejects } from "@std/assert";
import { type Connector, KeyedPool, Pool, PoolClosedError, PoolTimeoutError } from "../../mod.ts";
import { EchoServer } from "../support/echo_server.ts";
import { until } from "../support/until.ts";

const MAX_SIZE = 4;
const DIALS = 50;

/** Real sockets, counted in this process from when they are there until they are closed. */
class Sockets {
  readonly #port: number;
  open = 0;
  most = 0;
  opened = 0;

  constructor(port: number) {
    this.#port = port;
  }

  connector(init: NonNullable<Connector<Deno.Conn>["init"]>): Connector<Deno.Conn> {
    return {
      connect: async ({ signal }) => {
        const conn = await Deno.connect({ hostname: "127.0.0.1", port: this.#port, signal });
        this.opened++;
        this.most = Math.max(this.most, ++this.open);
        return conn;
      },
      init,
      close: (conn) => {
        conn.close();
        this.open--;
      },
    };
  }
}

const inits: Record<string, NonNullable<Connector<Deno.Conn>["init"]>> = {
  "never answers, but obeys its signal": (_conn, { signal }) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  "ignores its signal": () => new Promise(() => {}),
  "reads what never comes": async (conn) => {
    await conn.read(new Uint8Array(1));
  },
  "throws": () => {
    throw new Error("no login");
  },
  "rejects": () => Promise.reject(new Error("no login")),
  "rejects with nothing": () => Promise.reject(undefined),
  "rejects after a turn": async () => {
    await new Promise((resolve) => setTimeout(resolve));
    throw new Error("no login");
  },
};

for (const [title, init] of Object.entries(inits)) {
  Deno.test(`Pool: with an init that ${title}, there are never more than maxSize sockets, and none in the end`, async () => {
    await using server = EchoServer.listen();
    const sockets = new Sockets(server.port);
    const pool = new Pool(sockets.connector(init), { maxSize: MAX_SIZE, connectTimeout: 20 });
    const calls = await Promise.allSettled(Array.from({ length: DIALS }, () => pool.acquire()));
    assertEquals(calls.filter(({ status }) => status === "fulfilled"), []);
    for (const call of calls) {
      if (call.status === "rejected") assertEquals(call.reason instanceof Error, true);
    }
    assertEquals(sockets.opened, DIALS, "each caller had a dial of its own");
    assertLessOrEqual(sockets.most, MAX_SIZE);
    await pool.close();
    assertEquals([sockets.open, pool.stats.size], [0, 0]);
    assertEquals(pool.stats.retired.init, DIALS);
    await until(() => server.ends === DIALS);
  });
}

Deno.test("KeyedPool: with an init that hangs at every key, there are never more than maxSize sockets", async () => {
  await using server = EchoServer.listen();
  const sockets = new Sockets(server.port);
  const connector = sockets.connector(() => new Promise(() => {}));
  const pool = new KeyedPool((_key: number) => connector, {
    maxSize: MAX_SIZE,
    connectTimeout: 20,
  });
  const calls = Array.from({ length: DIALS }, (_, caller) => pool.acquire(caller % 10));
  await Promise.allSettled(calls);
  assertGreater(sockets.opened, MAX_SIZE);
  assertLessOrEqual(sockets.most, MAX_SIZE);
  await pool.close();
  assertEquals([sockets.open, pool.stats.size], [0, 0]);
});

Deno.test("Pool: init is part of the dial: it is bounded by connectTimeout, which names it", async () => {
  await using server = EchoServer.listen();
  const sockets = new Sockets(server.port);
  const connector = sockets.connector(() => new Promise(() => {}));
  await using pool = new Pool(connector, { connectTimeout: 20 });
  const error = await assertRejects(() => pool.acquire(), PoolTimeoutError);
  assertEquals(error.stage, "init");
  assertEquals(pool.stats.dials, { ok: 0, failed: 1 });
});

Deno.test("Pool: a resource that its connector retires during init counts as lost, and the dial as failed", async () => {
  let lose = (_reason: unknown) => {};
  let flawed = 1;
  const pool = new Pool({
    connect: ({ retire }) => {
      lose = retire;
      return {};
    },
    init: async () => {
      if (flawed-- <= 0) return;
      lose(new Error("hung up"));
      await Promise.reject(new Error("no answer"));
    },
  });
  await assertRejects(() => pool.acquire(), Error, "no answer");
  assertEquals([pool.stats.retired.lost, pool.stats.retired.init], [1, 0]);
  (await pool.acquire()).release();
  assertEquals([pool.stats.dials, pool.stats.idle], [{ ok: 1, failed: 1 }, 1]);
  await pool.close();
});

Deno.test("Pool: close() in the midst of an init closes its socket", async () => {
  await using server = EchoServer.listen();
  const sockets = new Sockets(server.port);
  const begun = Promise.withResolvers<void>();
  const pool = new Pool(sockets.connector(() => {
    begun.resolve();
    return new Promise(() => {});
  }));
  const call = assertRejects(() => pool.acquire());
  await begun.promise;
  await pool.close({ timeout: 20 });
  await call;
  assertEquals(sockets.open, 0);
});

Deno.test("Pool: what init did to a resource is there before it is lent, once for each", async () => {
  let inits = 0;
  await using pool = new Pool({
    connect: () => ({ isLoggedIn: false }),
    init: async (session) => {
      inits++;
      await Promise.resolve();
      session.isLoggedIn = true;
    },
  });
  for (let call = 0; call < 3; call++) {
    using lease = await pool.acquire();
    assertEquals(lease.value.isLoggedIn, true);
  }
  assertEquals(inits, 1);
});

Deno.test("Pool: what a dial gives after close() is closed without init", async () => {
  const dial = Promise.withResolvers<object>();
  const calls: string[] = [];
  const pool = new Pool({
    connect: () => dial.promise,
    init: () => void calls.push("init"),
    close: () => void calls.push("close"),
  });
  const caller = assertRejects(() => pool.acquire(), PoolClosedError);
  const closed = pool.close();
  await caller;
  dial.resolve({});
  await closed;
  assertEquals(calls, ["close"]);
});
