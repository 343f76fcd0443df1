// Resources of which nobody is to be asked or told go from borrower to borrower by a way of their own.
import { assertEquals } from "@std/assert";
import { Pool, type PoolOptions } from "../../pool/mod.ts";
import { TimerSpy } from "../support/spies.ts";
import { sameTurn } from "../support/until.ts";

const START = 1_000;

/** A pool of numbered things, by a clock that is set by hand. */
class Plain implements AsyncDisposable {
  now = START;
  opened = 0;
  readonly pool: Pool<{ id: number }>;

  constructor(options: PoolOptions = {}) {
    const connect = () => ({ id: ++this.opened });
    this.pool = new Pool(connect, { clock: () => this.now, maxSize: 1, ...options });
  }

  /** Borrows one; answers which it was. */
  async turn(): Promise<number> {
    using lease = await this.pool.acquire();
    return lease.value.id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.close();
  }
}

Deno.test("the short way lends the same resource, and counts its loans", async () => {
  await using plain = new Plain();
  assertEquals([await plain.turn(), await plain.turn(), await plain.turn()], [1, 1, 1]);
  const held = await plain.pool.acquire();
  const waiting = plain.pool.acquire();
  held.release();
  const lease = await waiting;
  assertEquals([lease.value.id, lease.reused], [1, true]);
  const { direct, waited } = plain.pool.stats.acquires;
  assertEquals([direct, waited], [3, 2], "the first waited for its dial");
  lease.release();
});

Deno.test("the short way lends nothing that has rested for idleTimeout", async () => {
  await using plain = new Plain({ idleTimeout: 100 });
  await plain.turn();
  plain.now += 99;
  assertEquals(await plain.turn(), 1);
  plain.now += 100;
  assertEquals(await plain.turn(), 2);
  assertEquals(plain.pool.stats.retired.idle, 1);
});

Deno.test("the short way takes back, and passes on, nothing that has lived for maxLifetime", async () => {
  await using plain = new Plain({ maxLifetime: 100, lifetimeJitter: 0 });
  const held = await plain.pool.acquire();
  const waiting = plain.pool.acquire();
  plain.now += 100;
  held.release();
  const lease = await waiting;
  assertEquals(lease.value.id, 2);
  plain.now += 100;
  lease.release();
  assertEquals([plain.pool.stats.idle, plain.pool.stats.retired.lifetime], [0, 2]);
});

Deno.test("the short way ends at maxUses, with a caller in line or without", async () => {
  await using plain = new Plain({ maxUses: 2 });
  const held = await plain.pool.acquire();
  const turns = [plain.turn(), plain.turn(), plain.turn()];
  held.release();
  assertEquals(await Promise.all(turns), [1, 2, 2]);
  assertEquals(await plain.turn(), 3);
});

Deno.test("the short way keeps nothing that was cleared, or is too many after a resize", async () => {
  await using plain = new Plain({ maxSize: 2 });
  const cleared = await plain.pool.acquire();
  plain.pool.clear();
  cleared.release();
  assertEquals([plain.pool.stats.size, plain.pool.stats.retired.cleared], [0, 1]);
  const leases = [await plain.pool.acquire(), await plain.pool.acquire()];
  plain.pool.resize(1);
  for (const lease of leases) lease.release();
  await sameTurn();
  assertEquals([plain.pool.stats.size, plain.pool.stats.retired.surplus], [1, 1]);
});

Deno.test("the short way passes nothing that was cleared to a caller in line", async () => {
  await using plain = new Plain();
  const held = await plain.pool.acquire();
  const waiting = plain.turn();
  plain.pool.clear();
  held.release();
  assertEquals(await waiting, 2);
});

Deno.test("the short way keeps no more than maxIdle", async () => {
  await using plain = new Plain({ maxSize: 3, maxIdle: 1 });
  const leases = [await plain.pool.acquire(), await plain.pool.acquire()];
  for (const lease of leases) lease.release();
  assertEquals([plain.pool.stats.idle, plain.pool.stats.retired.surplus], [1, 1]);
});

Deno.test("the short way is closed to a pool whose hooks are to be told of loans", async () => {
  const told: string[] = [];
  const onAcquire = () => void told.push("acquire");
  const onRelease = () => void told.push("release");
  await using plain = new Plain({ hooks: { onAcquire, onRelease } });
  await Promise.all([plain.turn(), plain.turn()]);
  await plain.turn();
  assertEquals(told, Array(3).fill(["acquire", "release"]).flat());
});

Deno.test("the short way serves the last in line, and nothing keeps the process alive then", async () => {
  using timers = new TimerSpy();
  const outcomes = [() => ({}), () => Promise.reject(new Error("down"))];
  const retry = { attempts: Infinity, minDelay: 10_000, maxDelay: 10_000 };
  await using pool = new Pool(() => outcomes.shift()!(), { maxSize: 2, retry });
  const held = await pool.acquire();
  const waiting = pool.acquire();
  await sameTurn();
  assertEquals(pool.stats.dials.failed, 1);
  held.release();
  const lease = await waiting;
  assertEquals(timers.holding, 0, "nobody waits for the next dial");
  lease.release();
});
