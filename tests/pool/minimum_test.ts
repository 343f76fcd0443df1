import { assertEquals, assertGreaterOrEqual, assertLessOrEqual } from "@std/assert";
import { Pool, type PoolOptions, Semaphore } from "../../mod.ts";
import { Simulation } from "../support/simulation.ts";

/** A pool in virtual time: a dial takes 5 ms, a close 3. */
function setUp(simulation: Simulation, options: PoolOptions) {
  const server = { isDown: false };
  let dials = 0;
  let closes = 0;
  const pool = new Pool({
    connect: async () => {
      dials++;
      await simulation.sleep(5);
      if (server.isDown) throw new Error("down");
      return {};
    },
    close: async () => {
      closes++;
      await simulation.sleep(3);
    },
  }, { clock: simulation.clock, ...options });
  const calls = () => ({ dials, closes });
  return { pool, calls, server };
}

async function closeNow(simulation: Simulation, pool: Pool<object>): Promise<void> {
  const closed = pool.close();
  await simulation.run(10);
  await closed;
  assertEquals(simulation.pending, 0, "no timer is left");
}

for (
  const [maxSize, fewest, title] of [[10, 2, "room to spare"], [2, 1, "no room to spare"]] as const
) {
  Deno.test(`Pool with ${title}: minIdle holds at every moment while resources expire`, async () => {
    using simulation = new Simulation(1);
    const options = { maxSize, minIdle: 2, maxLifetime: 600 };
    const { pool, calls } = setUp(simulation, options);
    await simulation.run(100);
    let [least, most] = [Infinity, 0];
    for (let look = 0; look < 2_900; look++) {
      await simulation.run(1);
      const { idle, preparing, size } = pool.stats;
      least = Math.min(least, idle + preparing);
      most = Math.max(most, size);
    }
    assertGreaterOrEqual(least, fewest);
    assertLessOrEqual(most, Math.min(maxSize, 4));
    const { dials } = calls();
    assertGreaterOrEqual(dials, 2 + 2 * 4, "each was replaced four times");
    assertLessOrEqual(dials, 2 + 2 * 6);
    await closeNow(simulation, pool);
  });
}

Deno.test("Pool with no room to spare: what expires together is replaced one after the other", async () => {
  using simulation = new Simulation(1);
  const options = { maxSize: 3, minIdle: 3, maxLifetime: 600, lifetimeJitter: 0 };
  const { pool, calls } = setUp(simulation, options);
  await simulation.run(500);
  let least = Infinity;
  for (let look = 0; look < 200; look++) {
    await simulation.run(1);
    least = Math.min(least, pool.stats.idle);
  }
  assertEquals([least, pool.stats.idle, pool.stats.retired.lifetime], [2, 3, 3]);
  assertEquals(calls(), { dials: 6, closes: 3 });
  await closeNow(simulation, pool);
});

for (const maxSize of [10, 2]) {
  Deno.test(`Pool with room for ${maxSize}: what has expired does not stay because the server is down`, async () => {
    using simulation = new Simulation(1);
    const retry = { minDelay: 100, maxDelay: 100 };
    const options = { maxSize, minIdle: 2, maxLifetime: 600, lifetimeJitter: 0, retry };
    const { pool, server } = setUp(simulation, options);
    await simulation.run(300);
    server.isDown = true;
    await simulation.run(350);
    assertEquals([pool.stats.idle, pool.stats.retired.lifetime], [0, 2]);
    server.isDown = false;
    await simulation.run(200);
    assertEquals(pool.stats.idle, 2);
    await closeNow(simulation, pool);
  });
}

Deno.test("Pool with minIdle: what is lost unused after a long time is replaced at once, each time", async () => {
  using simulation = new Simulation(1);
  const retry = { minDelay: 100, maxDelay: 1_000 };
  let lose = () => {};
  const pool = new Pool({
    connect: () => ({}),
    watch: (_thing, { lost }) => {
      lose = () => lost("gone");
    },
  }, { clock: simulation.clock, minIdle: 1, retry });
  for (let losses = 1; losses <= 3; losses++) {
    await simulation.run(retry.maxDelay + 1);
    lose();
    await simulation.run(0);
    assertEquals([pool.stats.retired.lost, pool.stats.idle], [losses, 1]);
  }
  lose();
  await simulation.run(0);
  assertEquals(pool.stats.idle, 0, "one that is lost soon is replaced after a delay");
  await closeNow(simulation, pool);
});

Deno.test("Pool with minIdle and a short idleTimeout: the minimum stays and is not replaced", async () => {
  using simulation = new Simulation(1);
  const { pool, calls } = setUp(simulation, { minIdle: 2, idleTimeout: 50 });
  const leases = Array.from({ length: 5 }, () => pool.acquire());
  await simulation.run(20);
  for (const lease of await Promise.all(leases)) lease.release();
  await simulation.run(100);
  assertEquals(pool.stats.idle, 2);
  const before = calls();
  await simulation.run(5_000);
  assertEquals(calls(), before);
  await closeNow(simulation, pool);
});

for (const minIdle of [0, 2]) {
  Deno.test(`Pool with idleTimeout 0 and minIdle ${minIdle}: exactly these are idle at rest, and none is replaced`, async () => {
    using simulation = new Simulation(1);
    const { pool, calls } = setUp(simulation, { minIdle, idleTimeout: 0 });
    await simulation.run(20);
    const leases = Array.from({ length: 4 }, () => pool.acquire());
    await simulation.run(20);
    for (const lease of await Promise.all(leases)) lease.release();
    await simulation.run(20);
    assertEquals([pool.stats.idle, pool.stats.size], [minIdle, minIdle]);
    const before = calls();
    await simulation.run(5_000);
    assertEquals(calls(), before);
    await closeNow(simulation, pool);
  });
}

Deno.test("Pool.clear(), then warm(3): three are idle while the cleared ones are still being closed", async () => {
  using simulation = new Simulation(1);
  const { pool } = setUp(simulation, { maxSize: 3 });
  const first = pool.warm(3);
  await simulation.run(10);
  assertEquals(await first, 3);
  pool.clear();
  assertEquals(pool.stats.closing, 3);
  const second = pool.warm(3);
  await simulation.run(20);
  assertEquals(await second, 3);
  assertEquals([pool.stats.idle, pool.stats.size], [3, 3]);
  await closeNow(simulation, pool);
});

for (const options of [{}, { maxConnecting: 1 }, { maxSize: 3 }] satisfies PoolOptions[]) {
  Deno.test(`Pool with ${Deno.inspect(options)}: two warm(3) at once leave three idle`, async () => {
    using simulation = new Simulation(1);
    const { pool, calls } = setUp(simulation, options);
    const both = Promise.all([pool.warm(3), pool.warm(3)]);
    await simulation.run(50);
    assertEquals((await both)[0], 3);
    assertEquals([pool.stats.idle, calls().dials], [3, 3]);
    await closeNow(simulation, pool);
  });
}

Deno.test("Pool: two warm(3) at once while the retry schedule waits leave three idle", async () => {
  using simulation = new Simulation(1);
  let isDown = true;
  const pool = new Pool(() => {
    if (isDown) throw new Error("refused");
    return {};
  }, { clock: simulation.clock, retry: { attempts: Infinity, minDelay: 20, maxDelay: 20 } });
  const first = pool.warm(3);
  await simulation.run(5);
  const second = pool.warm(3);
  await simulation.run(100);
  assertEquals(pool.stats.idle, 0);
  isDown = false;
  await simulation.run(50);
  await Promise.all([first, second]);
  assertEquals([pool.stats.idle, pool.stats.size], [3, 3]);
  await closeNow(simulation, pool);
});

Deno.test("Pool with minIdle whose permits are all taken: what has expired makes way for its replacement, one at a time", async () => {
  using simulation = new Simulation(1);
  const permits = new Semaphore(2);
  const pool = new Pool({
    connect: () => ({}),
    admit: ({ signal }) => permits.acquire({ signal }),
  }, { minIdle: 2, maxLifetime: 600, lifetimeJitter: 0, clock: simulation.clock });
  await simulation.run(590);
  assertEquals([pool.stats.idle, pool.stats.dials.ok], [2, 2]);
  let fewest = 2;
  using _hooks = pool.observe({
    onRetire: () => void (fewest = Math.min(fewest, pool.stats.idle)),
  });
  await simulation.run(200);
  assertEquals([pool.stats.idle, pool.stats.retired.lifetime, pool.stats.dials.ok], [2, 2, 4]);
  assertEquals(fewest, 1);
  const closed = pool.close();
  await simulation.run(10);
  await closed;
  assertEquals([permits.available, simulation.pending], [2, 0]);
});
