import { assert, assertEquals, assertRejects } from "@std/assert";
import { delay } from "@std/async";
import {
  ClusterEngineError,
  ClusterPermitLostError,
  ClusterSemaphore,
  type ClusterSemaphoreOptions,
  type Engine,
  redisEngine,
} from "../../cluster/mod.ts";
import { Pool, tcp } from "../../mod.ts";
import { fromFileUrl } from "./_paths.ts";
import { RedisClient, RedisServer, unlessMissing } from "./_redis.ts";

const LEASE_TIME = 1_500;

/** A server, and the engines of two processes: one over functions, one over a pool of sockets. */
class Scene implements AsyncDisposable {
  readonly server: RedisServer;
  readonly #clients: RedisClient[];
  readonly #pool;
  readonly #engines: [Engine, Engine];
  readonly #semaphores: ClusterSemaphore[] = [];

  constructor(server: RedisServer) {
    this.server = server;
    const clients = [new RedisClient(server.port), new RedisClient(server.port)] as const;
    this.#clients = [...clients];
    this.#pool = new Pool(tcp({ port: server.port }), { maxSize: 2 });
    this.#engines = [
      redisEngine({ send: clients[0].send, block: clients[1].send }),
      redisEngine(this.#pool),
    ];
  }

  semaphore(index: 0 | 1, options: Partial<ClusterSemaphoreOptions> = {}): ClusterSemaphore {
    const semaphore = new ClusterSemaphore({
      engine: this.#engines[index],
      key: "k",
      permits: 1,
      leaseTime: LEASE_TIME,
      engineTimeout: 60_000,
      ...options,
    });
    this.#semaphores.push(semaphore);
    return semaphore;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.signal("SIGCONT");
    await Promise.all(this.#semaphores.map((semaphore) => semaphore.close()));
    for (const client of this.#clients) client[Symbol.dispose]();
    await this.#pool.close();
    await this.server.kill();
  }
}

function test(name: string, body: (scene: Scene) => Promise<void>): void {
  Deno.test({
    ...unlessMissing(name),
    async fn() {
      await using scene = new Scene(await RedisServer.start());
      await body(scene);
    },
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

for (const holder of [0, 1] as const) {
  const over = ["functions", "a pool of sockets"][holder];
  const waiter = holder === 0 ? 1 : 0;

  test(`A killed Redis loses the permits with a clear error; when restarted it serves the waiters (holder over ${over})`, async (scene) => {
    const a = scene.semaphore(holder);
    const b = scene.semaphore(waiter);
    const hasty = scene.semaphore(holder, { engineTimeout: 100 });
    const permit = await a.acquire();
    const waits = b.acquire();
    while ((await a.status()).waiting < 1) await delay(5);
    await scene.server.kill();
    assert(permit.valid, "a permit outlives a server that is gone for a moment");
    const error = await assertRejects(() => hasty.acquire(), ClusterEngineError);
    assert(error.cause instanceof Deno.errors.ConnectionRefused, String(error.cause));
    await assertRejects(() => a.status(), ClusterEngineError);
    await aborted(permit.lost);
    assert(!permit.valid);
    assert(permit.lost.reason instanceof ClusterPermitLostError);
    await scene.server.restart();
    using next = await waits;
    assert(next.valid && next.token > permit.token);
    assertEquals((await a.status()).held, 1);
    assert(!b.stats.failing && b.stats.failures > 0);
  });

  test(`Cut connections lose no permit and no place in the queue (holder over ${over})`, async (scene) => {
    const a = scene.semaphore(holder);
    const b = scene.semaphore(waiter);
    const permit = await a.acquire();
    const waits = b.acquire();
    while ((await a.status()).waiting < 1) await delay(5);
    using admin = new RedisClient(scene.server.port);
    for (let i = 0; i < 3; i++) {
      await admin.send(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
      await delay(LEASE_TIME / 3);
    }
    assert(permit.valid, String(permit.lost.reason));
    permit.release();
    assert((await waits).valid);
  });

  test(`A silent Redis loses the permits in time; when it answers again all goes on (holder over ${over})`, async (scene) => {
    const a = scene.semaphore(holder);
    const b = scene.semaphore(waiter);
    const permit = await a.acquire();
    const waits = b.acquire();
    while ((await a.status()).waiting < 1) await delay(5);
    scene.server.signal("SIGSTOP");
    await aborted(permit.lost);
    assert(!permit.valid);
    scene.server.signal("SIGCONT");
    const next = await waits;
    assert(next.valid && next.token > permit.token);
  });
}

test("A Redis that lost its writes loses a permit at the next renewal at the latest, and its tokens still grow", async (scene) => {
  const a = scene.semaphore(0);
  const b = scene.semaphore(1);
  const permit = await a.acquire();
  using admin = new RedisClient(scene.server.port);
  await admin.send(["FLUSHALL"]);
  const next = await b.acquire();
  assert(next.token > permit.token, "the fence went back");
  await aborted(permit.lost);
  assert(!permit.valid && next.valid);
});

test("A process that only waits sends hardly any commands to Redis", async (scene) => {
  const a = scene.semaphore(0);
  const b = scene.semaphore(1, { leaseTime: 3_000 });
  using admin = new RedisClient(scene.server.port);
  const permit = await a.acquire();
  const waits = b.acquire();
  while ((await a.status()).waiting < 1) await delay(5);
  // The waiter's traffic, as the number of commands of its connections.
  await admin.send(["CONFIG", "RESETSTAT"]);
  await delay(2_000);
  const text = `${await admin.send(["INFO", "commandstats"])}`;
  const calls = (command: string) =>
    Number(text.match(`cmdstat_${command}:calls=(\\d+)`)?.[1] ?? 0);
  // One renewal of the holder in 500 ms, and one of the waiter in 1000 ms.
  assert(calls("evalsha") <= 8, `${calls("evalsha")} exchanges`);
  assert(calls("blpop") <= 2, `${calls("blpop")} blocks`);
  permit.release();
  assert((await waits).valid);
});

test("Several semaphores share one blocking connection for their waits", async (scene) => {
  const holders = ["x", "y", "z"].map((key) => scene.semaphore(0, { key }));
  const waiters = ["x", "y", "z"].map((key) => scene.semaphore(1, { key }));
  const permits = await Promise.all(holders.map((semaphore) => semaphore.acquire()));
  const calls: Promise<unknown>[] = [];
  for (const waiter of waiters) {
    calls.push(waiter.acquire());
    while ((await waiter.status()).waiting < 1) await delay(5);
  }
  for (const permit of permits.toReversed()) permit.release();
  await Promise.all(calls);
});

test("Once all permits are released, only the counters of a key are left in Redis", async (scene) => {
  const a = scene.semaphore(0);
  const b = scene.semaphore(1);
  const permit = await a.acquire();
  const waits = b.acquire();
  while ((await a.status()).waiting < 1) await delay(5);
  permit.release();
  (await waits).release();
  await Promise.all([a.close(), b.close()]);
  using admin = new RedisClient(scene.server.port);
  assertEquals(await admin.send(["KEYS", "*"]), ["sockpool:{k}"]);
  assert(Number(await admin.send(["PTTL", "sockpool:{k}"])) > 0);
});

test("A process that closes nothing can still end, and its permits end with it", async (scene) => {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-check",
      "--allow-net",
      fromFileUrl(new URL("_forgetful.ts", import.meta.url)),
      `${scene.server.port}`,
    ],
    signal: AbortSignal.timeout(20_000),
  }).output();
  assertEquals([code, new TextDecoder().decode(stdout)], [0, "2 held, 1 idle\n"]);
  const semaphore = scene.semaphore(0, { permits: 2 });
  await Promise.all([semaphore.acquire(), semaphore.acquire()]);
});
