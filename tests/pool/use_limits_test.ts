import { assertEquals, assertRejects } from "@std/assert";
import {
  type CloseOptions,
  type Connector,
  KeyedPool,
  Lease,
  type LeaseSlot,
  Pool,
  PoolTimeoutError,
  type Socket,
  type SocketLease,
  tcp,
} from "../../mod.ts";
import { EchoServer, mute } from "../support/echo_server.ts";
import { sameTurn, until } from "../support/until.ts";

/** Both kinds of pool, for the same calls. */
const pools = {
  Pool: (connector: Connector<Socket, SocketLease>) => new Pool(connector, { maxSize: 1 }),
  KeyedPool: (connector: Connector<Socket, SocketLease>) => {
    const hosts = new KeyedPool((_key: string) => connector, { maxSize: 1 });
    const close = () => hosts.close();
    const { acquire, use } = hosts.at("a");
    return { acquire, use, [Symbol.asyncDispose]: close };
  },
};

for (const [title, poolOf] of Object.entries(pools)) {
  Deno.test(`${title}.use: an abort in the body rejects with the reason in that turn, the peer sees the end, the slot is free`, async () => {
    await using server = EchoServer.listen(mute);
    await using pool = poolOf(tcp({ port: server.port }));
    const controller = new AbortController();
    const reason = { why: "enough" };
    let outcome: unknown = "pending";
    const reading = Promise.withResolvers<void>();
    pool.use(async (conn) => {
      await conn.writeAll("ping\n");
      reading.resolve();
      await conn.readUntil("\n");
    }, { signal: controller.signal }).catch((error) => outcome = error);
    await reading.promise;
    controller.abort(reason);
    await sameTurn();
    assertEquals(outcome === reason, true);
    await until(() => server.ends === 1);
    using _ = await pool.acquire({ timeout: 0 });
    assertEquals(server.accepts, 2);
  });

  Deno.test(`${title}.use: a deadline in the body rejects, the peer sees the end, the slot is free`, async () => {
    await using server = EchoServer.listen(mute);
    await using pool = poolOf(tcp({ port: server.port }));
    const call = pool.use((conn) => conn.readUntil("\n"), { deadline: 50 });
    const error = await assertRejects(() => call, PoolTimeoutError);
    assertEquals(error.stage, "use");
    await until(() => server.ends === 1);
    using _ = await pool.acquire({ timeout: 0 });
  });

  Deno.test(`${title}.use: a body that ignores its signal cannot use the resource any more`, async () => {
    await using server = EchoServer.listen();
    await using pool = poolOf(tcp({ port: server.port }));
    const controller = new AbortController();
    const later = Promise.withResolvers<void>();
    const told = Promise.withResolvers<unknown>();
    const call = pool.use(async (conn) => {
      controller.abort("enough");
      await later.promise;
      await conn.writeAll("late\n").catch(told.resolve);
    }, { signal: controller.signal });
    assertEquals(await call.catch((error) => error), "enough");
    later.resolve();
    assertEquals((await told.promise as Error).name, "LeaseReleasedError");
  });
}

class StubbornLease extends Lease<object> {
  override discard(): void {
    throw new TypeError("no");
  }
}

const stubborn = {
  connect: () => ({}),
  lease: (slot: LeaseSlot<object>) => new StubbornLease(slot),
};

const stubbornPools = {
  Pool: () => new Pool(stubborn, { maxSize: 1 }),
  KeyedPool: () => {
    const hosts = new KeyedPool((_key: string) => stubborn, { maxSize: 1 });
    return { ...hosts.at("a"), close: (options: CloseOptions) => hosts.close(options) };
  },
};

for (const [title, poolOf] of Object.entries(stubbornPools)) {
  Deno.test(`${title}.use: a lease whose discard() throws at the end of the time is the caller's failure, and no other's`, async () => {
    const pool = poolOf();
    const never = () => new Promise<never>(() => {});
    await Promise.all([
      assertRejects(() => pool.use(never, { deadline: 10 }), TypeError, "no"),
      assertRejects(() => pool.acquire({ timeout: 20 }), PoolTimeoutError),
    ]);
    await pool.close({ force: true });
  });
}

Deno.test("Pool.use: a deadline does not count the time for which the event loop was blocked", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  await pool.ready();
  const reply = await pool.use(async (conn) => {
    await conn.writeAll("ping\n");
    const end = performance.now() + 200; // the reply arrives meanwhile
    while (performance.now() < end);
    return await conn.readUntil("\n");
  }, { deadline: 100 });
  assertEquals(new TextDecoder().decode(reply), "ping\n");
});

class SyntaxFault extends Error {}

for (
  const [title, isFatal, dials] of [
    [
      "that isFatal calls harmless cost one connection",
      (error: unknown) => !(error instanceof SyntaxFault),
      1,
    ],
    ["cost a connection each without isFatal", undefined, 20],
  ] as const
) {
  Deno.test(`Pool.use: twenty errors ${title}`, async () => {
    await using server = EchoServer.listen();
    const connector = { ...tcp({ port: server.port }), ...(isFatal && { isFatal }) };
    await using pool = new Pool(connector, { maxSize: 1 });
    for (let call = 0; call < 20; call++) {
      await assertRejects(() =>
        pool.use(async (conn) => {
          await conn.writeAll("ping\n");
          await conn.readUntil("\n");
          throw new SyntaxFault();
        }), SyntaxFault);
    }
    assertEquals(pool.stats.dials.ok, dials);
    await until(() => server.accepts === dials);
    assertEquals(pool.stats.idle, dials === 1 ? 1 : 0);
  });
}

Deno.test("Pool.use: an error that isFatal calls harmless does not excuse a reply that was not read", async () => {
  await using server = EchoServer.listen();
  const connector = { ...tcp({ port: server.port }), isFatal: () => false };
  await using pool = new Pool(connector, { maxSize: 1 });
  const fail = () =>
    pool.use(async (conn) => {
      await conn.writeAll("first\nsecond\n");
      await conn.readUntil("\n");
      throw new SyntaxFault();
    });
  await assertRejects(fail, SyntaxFault);
  await pool.use(async (conn) => {
    await conn.writeAll("third\n");
    assertEquals(new TextDecoder().decode(await conn.readUntil("\n")), "third\n");
  });
});
