/** recycle(), pause(), priorities, close() and set() under load. */

import {
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLessOrEqual,
  assertRejects,
  assertThrows,
} from "@std/assert";
import {
  KeyedPool,
  type KeyView,
  Pool,
  PoolClosedError,
  PoolExhaustedError,
  type PoolHooks,
  type PoolOptions,
  Semaphore,
} from "../../mod.ts";
import { Simulation } from "../support/simulation.ts";

interface Thing {
  readonly id: number;
  isClosed: boolean;
}

/** Resources in virtual time: a dial takes 5 ms, a close 1. */
class Things {
  readonly simulation: Simulation;
  readonly opened: Thing[] = [];

  constructor(simulation: Simulation) {
    this.simulation = simulation;
  }

  readonly connector = {
    connect: async (): Promise<Thing> => {
      await this.simulation.sleep(5);
      const thing = { id: this.opened.length, isClosed: false };
      this.opened.push(thing);
      return thing;
    },
    close: async (thing: Thing): Promise<void> => {
      thing.isClosed = true;
      await this.simulation.sleep(1);
    },
  };

  /** How many are usable. */
  get usable(): number {
    return this.opened.filter(({ isClosed }) => !isClosed).length;
  }
}

interface LoadedPool {
  acquire(options?: { timeout?: number }): Promise<Disposable & { readonly value: Thing }>;
}

/** Callers that call again as soon as they were served. A failed call fails the test. */
function load(things: Things, pool: LoadedPool, callers: number) {
  const used: number[] = [];
  const seen = { served: 0, longest: 0, fewest: Infinity };
  let isOver = false;
  const call = async () => {
    while (!isOver) {
      const begun = things.simulation.now;
      using lease = await pool.acquire();
      seen.longest = Math.max(seen.longest, things.simulation.now - begun);
      await things.simulation.sleep(2);
      assertEquals(lease.value.isClosed, false, "nothing is closed under its borrower");
      seen.served++;
      used.push(lease.value.id);
    }
  };
  const calls = Array.from({ length: callers }, call);
  const stop = async () => {
    isOver = true;
    await things.simulation.run(100);
    await Promise.all(calls);
  };
  return { seen, used, stop };
}

async function closeNow(simulation: Simulation, pool: { close(): Promise<void> }): Promise<void> {
  const closed = pool.close();
  await simulation.run(10);
  await closed;
  assertEquals(simulation.pending, 0, "no timer is left");
}

const MAX_SIZE = 5;

for (const [callers, fewer, title] of [[20, 1, "full"], [3, 0, "with room to spare"]] as const) {
  for (const over of [0, 500]) {
    Deno.test(`Pool under load, ${title}: recycle({ over: ${over} }) replaces all, fails no request, and never makes more than ${fewer} fewer`, async () => {
      using simulation = new Simulation(1);
      const things = new Things(simulation);
      const pool = new Pool(things.connector, { maxSize: MAX_SIZE, clock: simulation.clock });
      const { seen, used, stop } = load(things, pool, callers);
      await simulation.run(50);
      const before = things.usable;
      const begun = simulation.now;
      let doneAt = NaN;
      const recycled = pool.recycle({ over }).then(() => doneAt = simulation.now);
      let fewest = Infinity;
      for (let step = 0; step < 1_000; step++) {
        await simulation.run(1);
        fewest = Math.min(fewest, things.usable);
      }
      await recycled;
      const old = things.opened.slice(0, before);
      assertEquals(old.filter(({ isClosed }) => !isClosed), [], "all are replaced");
      assertEquals(fewest, before - fewer);
      assertEquals(things.usable, before);
      assertGreaterOrEqual(doneAt - begun, over * (before - 1) / before, "spread over that time");
      assertLessOrEqual(doneAt - begun, over + 200);
      assertGreater(used.at(-1)!, before - 1);
      assertLessOrEqual(seen.longest, 50);
      await stop();
      await closeNow(simulation, pool);
    });
  }
}

Deno.test("Pool at rest: recycle() replaces idle resources, and never has one fewer if there is room", async () => {
  using simulation = new Simulation(1);
  const things = new Things(simulation);
  const pool = new Pool(things.connector, { maxSize: MAX_SIZE, clock: simulation.clock });
  const warmed = pool.warm(3);
  await simulation.run(10);
  assertEquals(await warmed, 3);
  const recycled = pool.recycle({ over: 100 });
  let fewest = Infinity;
  for (let step = 0; step < 200; step++) {
    await simulation.run(1);
    fewest = Math.min(fewest, things.usable);
  }
  await recycled;
  assertEquals([fewest, things.usable, things.opened.length], [3, 3, 6]);
  await closeNow(simulation, pool);
});

Deno.test("Pool.recycle() rejects with the error of a failed dial, and keeps the remaining resources", async () => {
  using simulation = new Simulation(1);
  const things = new Things(simulation);
  let isDown = false;
  const connect = () => {
    if (isDown) throw new Error("refused");
    return things.connector.connect();
  };
  const pool = new Pool({ ...things.connector, connect }, { clock: simulation.clock });
  pool.warm(3).catch(() => {});
  await simulation.run(10);
  isDown = true;
  const rejected = assertRejects(() => pool.recycle(), Error, "refused");
  await simulation.run(10);
  await rejected;
  assertGreaterOrEqual(pool.stats.idle, 2);
  await closeNow(simulation, pool);
  await assertRejects(() => pool.recycle(), PoolClosedError);
});

Deno.test("Pool.recycle() closes nothing while the retry schedule waits", async () => {
  using simulation = new Simulation(1);
  const things = new Things(simulation);
  let isDown = false;
  const connect = () => {
    if (isDown) throw new Error("refused");
    return things.connector.connect();
  };
  const retry = { attempts: 2, minDelay: 1_000, maxDelay: 1_000 };
  const pool = new Pool({ ...things.connector, connect }, { retry, clock: simulation.clock });
  pool.warm(3).catch(() => {});
  await simulation.run(10);
  isDown = true;
  const caller = pool.acquire({ fresh: true, timeout: 100 }).catch(() => {});
  await simulation.run(10);
  const rejected = assertRejects(() => pool.recycle(), Error, "refused");
  await simulation.run(200);
  await rejected;
  await caller;
  assertEquals(pool.stats.idle, 3);
  await closeNow(simulation, pool);
});

for (const kind of ["Pool", "KeyedPool"] as const) {
  for (const maxSize of [1, 2, 4]) {
    Deno.test(`${kind} of ${maxSize}: every recycle() resolves when the old resources have been returned and replaced`, async () => {
      using simulation = new Simulation(1);
      const things = new Things(simulation);
      const { clock } = simulation;
      const [pool, one] = kind === "Pool"
        ? twice(new Pool(things.connector, { maxSize, clock }))
        : keyedPool(new KeyedPool((_: string) => things.connector, { maxSize, clock }));
      const acquired = [1, 2].slice(0, maxSize).map(() => one.acquire());
      await simulation.run(50);
      const leases = await Promise.all(acquired);
      let ended = 0;
      const recycled = [one.recycle(), pool.recycle({ over: 10 })]
        .map((done) => done.then(() => ended++));
      await simulation.run(500);
      assertEquals(ended, 0, "while an old one is leased");
      for (const lease of leases) lease.release();
      await simulation.run(500);
      assertEquals(ended, 2);
      await Promise.all(recycled);
      const old = things.opened.slice(0, leases.length);
      assertEquals(old.map(({ isClosed }) => isClosed), leases.map(() => true));
      await closeNow(simulation, pool);
    });
  }

  Deno.test(`${kind}: recycle() rejects at the close of a pool with an old lease, and after it`, async () => {
    const connect = () => ({});
    const [pool, one] = kind === "Pool"
      ? twice(new Pool(connect))
      : keyedPool(new KeyedPool((_: string) => connect));
    const lease = await one.acquire();
    const recycled = assertRejects(() => one.recycle(), PoolClosedError);
    const closed = pool.close();
    await recycled;
    lease.release();
    await closed;
    await assertRejects(() => pool.recycle(), PoolClosedError);
    await assertRejects(() => one.recycle(), PoolClosedError);
    one.pause();
    one.resume();
  });
}

function twice<P>(pool: P): [P, P] {
  return [pool, pool];
}

/** A keyed pool, and one key of it. */
function keyedPool<T>(hosts: KeyedPool<string, T>): [KeyedPool<string, T>, KeyView<T>] {
  return [hosts, hosts.at("a")];
}

Deno.test("KeyedPool under load: recycle() fails no request, and takes at most one resource of each key", async () => {
  using simulation = new Simulation(1);
  const byKey = [0, 1, 2].map(() => new Things(simulation));
  const hosts = new KeyedPool(
    (key: number) => byKey[key]!.connector,
    { maxSize: 9, maxPerKey: 3, clock: simulation.clock },
  );
  const loads = byKey.map((things, key) => load(things, hosts.at(key), 6));
  await simulation.run(50);
  assertEquals(byKey.map(({ usable }) => usable), [3, 3, 3]);
  const recycled = hosts.recycle({ over: 100 });
  const fewest = [3, 3, 3];
  for (let step = 0; step < 400; step++) {
    await simulation.run(1);
    for (const [key, { usable }] of byKey.entries()) fewest[key] = Math.min(fewest[key]!, usable);
  }
  await recycled;
  assertEquals(fewest, [2, 2, 2]);
  for (const { opened } of byKey) {
    assertEquals(opened.slice(0, 3).map(({ isClosed }) => isClosed), [true, true, true]);
  }
  const before = byKey.map(({ opened }) => opened.length);
  const second = hosts.at(1).recycle();
  await simulation.run(200);
  await second;
  const after = byKey.map(({ opened }) => opened.length);
  assertEquals(after.map((count, key) => count - before[key]!), [0, 3, 0], "of the one key");
  for (const { stop } of loads) await stop();
  await closeNow(simulation, hosts);
});

/** Two idle resources, of one key if there are keys. */
const idlePools = {
  Pool: async (simulation: Simulation, hooks: PoolHooks) => {
    const pool = new Pool(() => ({}), { maxSize: 2, hooks, clock: simulation.clock });
    await pool.warm(2);
    return pool;
  },
  KeyedPool: async (simulation: Simulation, hooks: PoolHooks) => {
    const connect = (_key: string) => () => ({});
    const hosts = new KeyedPool(connect, { maxSize: 2, hooks, clock: simulation.clock });
    await hosts.warm("a", 2);
    return hosts;
  },
};

for (const [title, poolOf] of Object.entries(idlePools)) {
  Deno.test(`${title}.recycle() rejects and leaves no timer if a hook closes the pool in its first step`, async () => {
    using simulation = new Simulation(1);
    let closing: Promise<void> | undefined;
    const pool = await poolOf(simulation, { onRetire: () => void (closing ??= pool.close()) });
    await assertRejects(() => pool.recycle({ over: 1_000 }), PoolClosedError);
    await closing;
    assertEquals(simulation.pending, 0);
  });
}

const fullPools = {
  Pool: (things: Things) =>
    new Pool(things.connector, { maxSize: 1, clock: things.simulation.clock }),
  KeyedPool: (things: Things) => {
    const hosts = new KeyedPool((_key: string) => things.connector, {
      maxPerKey: 1,
      clock: things.simulation.clock,
    });
    return { ...hosts.at("a"), close: () => hosts.close() };
  },
};

for (const [title, poolOf] of Object.entries(fullPools)) {
  Deno.test(`${title}.recycle() twice at once: both wait for the one replacement of a leased resource`, async () => {
    using simulation = new Simulation(1);
    const things = new Things(simulation);
    const pool = poolOf(things);
    const acquired = pool.acquire();
    await simulation.run(10);
    const recycled = Promise.all([pool.recycle(), pool.recycle()]);
    await simulation.run(10);
    (await acquired).release();
    await simulation.run(10);
    await recycled;
    assertEquals([things.opened.length, things.usable], [2, 1]);
    await closeNow(simulation, pool);
  });
}

for (const kind of ["Pool", "KeyedPool"] as const) {
  Deno.test(`${kind}.recycle(): at maxSize a lease that goes on does not hold up the replacement of the others`, async () => {
    using simulation = new Simulation(1);
    const things = new Things(simulation);
    const options = { maxSize: 3, clock: simulation.clock };
    const [pool, one] = kind === "Pool"
      ? twice(new Pool(things.connector, options))
      : keyedPool(new KeyedPool((_: string) => things.connector, options));
    const acquired = one.acquire();
    await simulation.run(10);
    const lease = await acquired;
    const { stop } = load(things, one, 6); // no resource is ever idle
    await simulation.run(50);
    let ended = false;
    const recycled = one.recycle({ over: 20 }).then(() => ended = true);
    await simulation.run(200);
    const isOldClosed = things.opened.slice(0, 3).map(({ isClosed }) => isClosed);
    assertEquals(isOldClosed, [false, true, true]);
    assertEquals([ended, things.usable], [false, 3]);
    lease.release();
    await simulation.run(10);
    await recycled;
    assertEquals([things.opened.length, things.usable], [6, 3]);
    await stop();
    await closeNow(simulation, pool);
  });

  Deno.test(`${kind}.recycle(): at maxSize an idle resource is replaced at once, although others are leased`, async () => {
    using simulation = new Simulation(1);
    const things = new Things(simulation);
    const options = { maxSize: 2, clock: simulation.clock };
    const [pool, one] = kind === "Pool"
      ? twice(new Pool(things.connector, options))
      : keyedPool(new KeyedPool((_: string) => things.connector, options));
    const acquired = [one.acquire(), one.acquire()];
    await simulation.run(10);
    const [long, short] = await Promise.all(acquired);
    short!.release();
    const recycled = one.recycle();
    await simulation.run(10);
    assertEquals(things.opened.map(({ isClosed }) => isClosed), [false, true, false]);
    long!.release();
    await simulation.run(10);
    await recycled;
    await closeNow(simulation, pool);
  });

  Deno.test(`${kind}.recycle(): at maxSize none is closed for it while another is being closed`, async () => {
    using simulation = new Simulation(1);
    const things = new Things(simulation);
    const options = { maxSize: 3, clock: simulation.clock };
    const [pool, one] = kind === "Pool"
      ? twice(new Pool(things.connector, options))
      : keyedPool(new KeyedPool((_: string) => things.connector, options));
    const acquired = [1, 2, 3].map(() => one.acquire());
    await simulation.run(10);
    const [long, spoilt, short] = await Promise.all(acquired);
    short!.release();
    spoilt!.discard();
    const recycled = one.recycle();
    const usable = () => one.stats!.leased + one.stats!.idle;
    assertEquals(usable(), 2, "one is being closed");
    let fewest = 3;
    for (let step = 0; step < 30; step++) {
      await simulation.run(1);
      fewest = Math.min(fewest, usable());
    }
    assertEquals(fewest, 2);
    const [first, , third] = things.opened;
    assertEquals([first!.isClosed, third!.isClosed], [false, true]);
    long!.release();
    await simulation.run(20);
    await recycled;
    assertEquals(first!.isClosed, true);
    await closeNow(simulation, pool);
  });

  Deno.test(`${kind}: several recycle() at once never make more than one fewer, whatever their callers do`, async () => {
    for (let seed = 1; seed <= 80; seed++) {
      using simulation = new Simulation(seed);
      const things = new Things(simulation);
      const choose = <C>(...choices: C[]) => choices[Math.floor(Math.random() * choices.length)]!;
      const permits = new Semaphore(choose(1, 2, 3));
      const admit = async ({ signal }: { signal: AbortSignal }) => {
        await simulation.sleep(choose(0, 30));
        return await permits.acquire({ signal });
      };
      const connector = { ...things.connector, ...(seed > 40 && { admit }) };
      const minIdle = kind === "Pool" ? choose(0, 2) : 0;
      const options = { maxSize: choose(2, 3, 5), clock: simulation.clock };
      const [pool, one] = kind === "Pool"
        ? twice(new Pool(connector, { ...options, minIdle }))
        : keyedPool(new KeyedPool((_: string) => connector, options));
      const loads = [load(things, one, choose(1, 4, 12))];
      await simulation.run(choose(20, 300));
      if (choose(true, false)) await loads[0]!.stop();
      const usable = () => one.stats!.leased + one.stats!.idle + one.stats!.preparing;
      const before = usable();
      const old = [...things.opened];
      let fewest = before;
      const look = () => void (fewest = Math.min(fewest, usable()));
      const hooks = { onAcquire: look, onRelease: look, onRetire: look, onConnect: look };
      using _hooks = pool.observe(hooks);
      const recycled: Promise<void>[] = [];
      for (const recycler of [one, pool, one]) {
        recycled.push(recycler.recycle({ over: choose(0, 30, 200) }));
        await simulation.run(choose(0, 1, 7));
      }
      await simulation.run(1_000);
      await Promise.all(recycled);
      assertGreaterOrEqual(fewest, before - 1, `seed ${seed}`);
      assertEquals(old.filter(({ isClosed }) => !isClosed), [], `seed ${seed}`);
      for (const { stop } of loads) await stop();
      assertLessOrEqual(one.stats?.connecting ?? 0, minIdle, "no dial waits that nobody needs");
      await closeNow(simulation, pool);
    }
  });

  Deno.test(`${kind}.recycle(): if the admission is only slow, one resource makes way for one`, async () => {
    using simulation = new Simulation(1);
    const things = new Things(simulation);
    const permits = new Semaphore(9);
    const admit = async () => {
      await simulation.sleep(30);
      return await permits.acquire();
    };
    const connector = { ...things.connector, admit };
    const { clock } = simulation;
    const [pool, one] = kind === "Pool"
      ? twice(new Pool(connector, { clock }))
      : keyedPool(new KeyedPool((_: string) => connector, { clock }));
    const acquired = [1, 2, 3].map(() => one.acquire());
    await simulation.run(50);
    const leases = await Promise.all(acquired);
    const recycled = one.recycle({ over: 300 });
    await simulation.run(40); // the first new one is open, the second is not due yet
    for (const lease of leases) lease.release();
    assertEquals([one.stats!.closing, one.stats!.idle], [1, 3]);
    await simulation.run(400);
    await recycled;
    assertEquals([things.opened.length, things.usable], [6, 3]);
    await closeNow(simulation, pool);
  });

  Deno.test(`${kind}.recycle(): where maxConnecting lets no dial begin, one resource makes way for the one that waits for admission`, async () => {
    using simulation = new Simulation(1);
    const things = new Things(simulation);
    const permits = new Semaphore(3);
    const admit = async ({ signal }: { signal: AbortSignal }) => {
      const permit = await permits.acquire({ signal });
      await simulation.sleep(5);
      return permit;
    };
    const connector = { ...things.connector, admit };
    const options = { maxConnecting: 1, clock: simulation.clock };
    const [pool, one] = kind === "Pool"
      ? twice(new Pool(connector, options))
      : keyedPool(new KeyedPool((_: string) => connector, options));
    const warmed = one.warm(4);
    await simulation.run(100);
    assertEquals([one.stats!.idle, one.stats!.connecting], [3, 1]);
    const recycled = one.recycle();
    let fewest = Infinity;
    for (let step = 0; step < 200; step++) {
      await simulation.run(1);
      fewest = Math.min(fewest, one.stats!.idle);
    }
    await recycled;
    await warmed;
    assertEquals([fewest, things.usable], [2, 3]);
    await closeNow(simulation, pool);
    assertEquals(permits.available, 3);
  });

  Deno.test(`${kind}.recycle(): an old resource makes way for a dial that waits for its permit, and no other one`, async () => {
    using simulation = new Simulation(1);
    const things = new Things(simulation);
    const permits = new Semaphore(3);
    const connector = {
      ...things.connector,
      admit: ({ signal }: { signal: AbortSignal }) => permits.acquire({ signal }),
    };
    const { clock } = simulation;
    const [pool, one] = kind === "Pool"
      ? twice(new Pool(connector, { clock }))
      : keyedPool(new KeyedPool((_: string) => connector, { clock }));
    const warmed = one.warm(2);
    await simulation.run(10);
    await warmed;
    let fewest = Infinity;
    const recycle = async () => {
      const recycled = one.recycle();
      fewest = Infinity;
      for (let step = 0; step < 200; step++) {
        await simulation.run(1);
        fewest = Math.min(fewest, one.stats!.idle);
      }
      await recycled;
    };
    await recycle();
    assertEquals(fewest, 2, "there is a permit for the new one");
    const other = permits.tryAcquire()!;
    await recycle();
    assertEquals([fewest, things.opened.length, things.usable], [1, 6, 2]);
    const rejected = assertRejects(() => one.recycle(), PoolClosedError);
    await simulation.run(5); // it waits for its permit
    other.release();
    await closeNow(simulation, pool);
    await rejected;
    assertEquals(permits.available, 3);
  });
}

Deno.test("Pool.recycle(): when there is room after all, what was to make way stays until the new one is open", async () => {
  using simulation = new Simulation(1);
  const things = new Things(simulation);
  const pool = new Pool(things.connector, { maxSize: 3, clock: simulation.clock });
  const acquired = [1, 2, 3].map(() => pool.acquire());
  await simulation.run(10);
  const leases = await Promise.all(acquired);
  const recycled = pool.recycle();
  leases.pop()!.detach();
  for (const lease of leases) lease.release();
  let fewest = Infinity;
  for (let step = 0; step < 30; step++) {
    fewest = Math.min(fewest, pool.stats.idle);
    await simulation.run(1);
  }
  await recycled;
  assertEquals([fewest, things.opened.length, things.usable], [2, 5, 3]);
  await closeNow(simulation, pool);
});

Deno.test("Pool.recycle(): a close that serves the waiters opens nothing for what has made way", async () => {
  using simulation = new Simulation(1);
  const things = new Things(simulation);
  const pool = new Pool(things.connector, { maxSize: 2, clock: simulation.clock });
  const warmed = pool.warm(2);
  await simulation.run(10);
  await warmed;
  using lease = await pool.acquire();
  const recycled = assertRejects(() => pool.recycle(), PoolClosedError);
  const waiting = pool.acquire({ fresh: true });
  assertEquals(pool.stats.closing, 1);
  const closed = pool.close({ waiters: "serve" });
  await simulation.run(10);
  (await waiting).release();
  lease.release();
  await simulation.run(10);
  await Promise.all([recycled, closed]);
  assertEquals([things.opened.length, simulation.pending], [3, 0]);
});

Deno.test("Pool.recycle(): a step after a failed dial begins no dial for the caller that is rejected with its error", async () => {
  let now = 0;
  const dials: { resolve(thing: object): void; reject(error: Error): void }[] = [];
  const connect = () => new Promise<object>((resolve, reject) => dials.push({ resolve, reject }));
  const clock = { now: () => now, wall: () => now };
  const pool = new Pool({ connect }, { acquireTimeout: Infinity, clock });
  const acquired = [pool.acquire(), pool.acquire()];
  for (const dial of dials) dial.resolve({});
  await Promise.all(acquired);
  const failing = pool.acquire();
  const recycled = assertRejects(() => pool.recycle({ over: 300 }), Error, "down");
  const served = pool.acquire({ priority: 1 });
  assertEquals(dials.length, 5);
  dials[3]!.resolve({}); // that of the recycle
  await served;
  now = 150; // the next step is due, although the timer has not fired yet
  dials[2]!.reject(new Error("down"));
  await assertRejects(() => failing, Error, "down");
  assertEquals(dials.length, 5, "there is no dial for the rejected caller");
  await recycled;
  await pool.close({ force: true });
});

Deno.test("Pool.recycle(): a resource that its connector retires meanwhile goes as lost, and is not lent again", async () => {
  using simulation = new Simulation(1);
  const reasons: unknown[] = [];
  const retires: ((reason: unknown) => void)[] = [];
  const pool = new Pool({
    connect: ({ retire }) => {
      retires.push(retire);
      return {};
    },
  }, {
    maxSize: 2,
    clock: simulation.clock,
    hooks: { onRetire: ({ reason, detail }) => void reasons.push([reason, detail]) },
  });
  const [first, second] = await Promise.all([pool.acquire(), pool.acquire()]);
  const recycled = pool.recycle();
  retires[1]!("moved");
  first.release();
  await simulation.run(10);
  second.release();
  await recycled;
  assertEquals(reasons, [["recycled", undefined], ["lost", "moved"]]);
  await closeNow(simulation, pool);
});

for (const kind of ["Pool", "KeyedPool"] as const) {
  Deno.test(`${kind}.recycle() ends when nothing old is left, whatever time it has, and rejects if the pool is closed before`, async () => {
    using simulation = new Simulation(1);
    const connect = () => ({});
    for (const end of ["clear", "close", "force", "serve"] as const) {
      const { clock } = simulation;
      const [pool, one] = kind === "Pool"
        ? twice(new Pool(connect, { clock }))
        : keyedPool(new KeyedPool((_: string) => connect, { clock }));
      const lease = await one.acquire();
      await one.warm(2);
      const recycled = pool.recycle({ over: 60_000 });
      await simulation.run(10);
      if (end === "clear") {
        pool.clear();
        lease.release();
        await recycled;
      } else {
        const rejected = assertRejects(() => recycled, PoolClosedError);
        const closed = pool.close(end === "serve" ? { waiters: end } : { force: end === "force" });
        lease.release();
        await rejected;
        await closed;
      }
      await closeNow(simulation, pool);
    }
  });
}

Deno.test("recycle() refuses a time that never ends, or that is none, and replaces nothing", async () => {
  const alone = new Pool(() => ({}));
  const keyed = new KeyedPool((_: string) => () => ({}));
  (await alone.acquire()).release();
  (await keyed.acquire("a")).release();
  for (const pool of [alone, keyed, keyed.at("a")]) {
    for (const over of [Infinity, NaN, -1]) {
      await assertRejects(() => pool.recycle({ over }), RangeError, "'over'");
    }
    await assertRejects(
      () => pool.recycle({ over: "1" as unknown as number }),
      TypeError,
      "'over'",
    );
  }
  assertEquals([alone.stats.dials.ok, keyed.stats.dials.ok], [1, 1]);
  await alone.close();
  await keyed.close();
});

Deno.test("KeyedPool.recycle() ends with a key that is dropped, and leaves no timer", async () => {
  using simulation = new Simulation(1);
  const hosts = await idlePools.KeyedPool(simulation, {});
  const recycled = hosts.recycle({ over: 1_000 });
  await simulation.run(1);
  hosts.clear();
  await recycled;
  assertEquals(hosts.stats.keys, 0);
  await hosts.close();
  assertEquals(simulation.pending, 0);
});

Deno.test("Pool: pause() lends nothing and fails no request, and resume() serves all in order", async () => {
  using simulation = new Simulation(1);
  const things = new Things(simulation);
  const pool = new Pool(things.connector, { maxSize: 2, clock: simulation.clock });
  const { seen, stop } = load(things, pool, 6);
  await simulation.run(50);
  pool.pause();
  await simulation.run(5); // leases end
  const { served } = seen;
  await simulation.run(1_000);
  assertEquals([seen.served, pool.stats.leased, pool.paused], [served, 0, true]);
  assertEquals(pool.tryAcquire(), undefined);
  await assertRejects(() => pool.acquire({ timeout: 0 }), PoolExhaustedError, "paused");
  pool.resume();
  await simulation.run(50);
  assertGreater(seen.served, served + 20);
  assertEquals(pool.paused, false);
  await stop();
  await closeNow(simulation, pool);
});

Deno.test("Pool: a caller's timeout runs while the pool is paused", async () => {
  using simulation = new Simulation(1);
  const things = new Things(simulation);
  const pool = new Pool(things.connector, { clock: simulation.clock });
  pool.pause();
  const rejected = assertRejects(() => pool.acquire({ timeout: 100 }), Error, "within 100 ms");
  await simulation.run(110);
  await rejected;
  assertEquals(things.opened.length, 0, "nothing is dialled meanwhile");
  await closeNow(simulation, pool);
});

Deno.test("KeyedPool: a paused key lends nothing while others do, and a paused pool also pauses new keys", async () => {
  using simulation = new Simulation(1);
  const things = new Things(simulation);
  const hosts = new KeyedPool((_key: string) => things.connector, { clock: simulation.clock });
  hosts.at("a").pause();
  const leases: string[] = [];
  const calls = ["a", "b"].map(async (key) => {
    using _ = await hosts.acquire(key);
    leases.push(key);
  });
  await simulation.run(20);
  assertEquals(leases, ["b"]);
  hosts.at("a").resume();
  await simulation.run(20);
  assertEquals(leases, ["b", "a"]);
  hosts.pause();
  calls.push(hosts.use("c", () => void leases.push("c")));
  await simulation.run(20);
  assertEquals(leases, ["b", "a"]);
  hosts.resume();
  await simulation.run(20);
  assertEquals(leases, ["b", "a", "c"]);
  await Promise.all(calls);
  await closeNow(simulation, hosts);
});

Deno.test("Pool: callers of a higher priority are served first, first come first served among equals", async () => {
  using simulation = new Simulation(1);
  const things = new Things(simulation);
  const pool = new Pool(things.connector, { maxSize: 1, clock: simulation.clock });
  const order: string[] = [];
  const priorities = [0, 5, -1, 5, 0, 1_000, -1_000, 1];
  const calls = priorities.map(async (priority, number) => {
    using _ = await pool.acquire({ priority });
    order.push(`${number}: ${priority}`);
    await simulation.sleep(1);
  });
  await simulation.run(50);
  await Promise.all(calls);
  // The dial was for the first caller; when it ends, all others wait.
  assertEquals(order, ["5: 1000", "1: 5", "3: 5", "7: 1", "0: 0", "4: 0", "2: -1", "6: -1000"]);
  await closeNow(simulation, pool);
});

Deno.test("Pool: close({ waiters: 'serve' }) serves present waiters, dials included, and rejects later calls", async () => {
  using simulation = new Simulation(1);
  const things = new Things(simulation);
  const pool = new Pool(things.connector, { maxSize: 2, clock: simulation.clock });
  let served = 0;
  const calls = Array.from({ length: 10 }, async () => {
    using _ = await pool.acquire();
    await simulation.sleep(2);
    served++;
  });
  let isClosed = false;
  const closing = pool.close({ waiters: "serve" }).then(() => isClosed = true);
  assertEquals([pool.closed, pool.stats.connecting], [true, 2]);
  await assertRejects(() => pool.acquire(), PoolClosedError);
  assertThrows(() => pool.tryAcquire(), PoolClosedError);
  await simulation.run(14);
  assertEquals([served, isClosed], [8, false]);
  await simulation.run(20);
  await Promise.all(calls);
  await closing;
  assertEquals([served, things.usable, simulation.pending], [10, 0, 0]);
});

Deno.test("Pool: close({ waiters: 'serve' }) rejects remaining waiters at its timeout", async () => {
  using simulation = new Simulation(1);
  const things = new Things(simulation);
  const pool = new Pool(things.connector, { maxSize: 1, clock: simulation.clock });
  const holding = pool.acquire();
  await simulation.run(10);
  const lease = await holding;
  const rejected = assertRejects(() => pool.acquire(), PoolClosedError);
  const closing = pool.close({ waiters: "serve", timeout: 50 });
  await simulation.run(200);
  await rejected;
  await closing;
  assertEquals(lease.value.isClosed, true, "by force");
  assertEquals(simulation.pending, 0);
});

Deno.test("Pool: a later close() shortens one that serves the waiters", async () => {
  using simulation = new Simulation(1);
  const things = new Things(simulation);
  const pool = new Pool(things.connector, { maxSize: 1, clock: simulation.clock });
  const rejected = assertRejects(() => pool.acquire(), PoolClosedError);
  const closing = pool.close({ waiters: "serve" });
  pool.close();
  await rejected;
  await simulation.run(20);
  await closing;
  assertEquals([things.usable, simulation.pending], [0, 0]);
});

Deno.test("KeyedPool: close({ waiters: 'serve' }) serves the waiters of every key", async () => {
  using simulation = new Simulation(1);
  const things = new Things(simulation);
  const hosts = new KeyedPool(
    (_key: number) => things.connector,
    { maxSize: 2, clock: simulation.clock },
  );
  let served = 0;
  const calls = Array.from({ length: 12 }, async (_, caller) => {
    using _lease = await hosts.acquire(caller % 4);
    await simulation.sleep(2);
    served++;
  });
  const closing = hosts.close({ waiters: "serve" });
  await assertRejects(() => hosts.acquire(0), PoolClosedError);
  await assertRejects(() => hosts.acquire(9), PoolClosedError);
  await simulation.run(1_000);
  await Promise.all(calls);
  await closing;
  assertEquals([served, things.usable, simulation.pending], [12, 0, 0]);
});

Deno.test("Pool.set() changes limits and times from then on", async () => {
  using simulation = new Simulation(1);
  const things = new Things(simulation);
  const options: PoolOptions<Thing> = { maxSize: 3, clock: simulation.clock };
  const pool = new Pool(things.connector, options);
  const warmed = pool.warm(3);
  await simulation.run(10);
  await warmed;
  pool.set({ idleTimeout: 100, maxWaiting: 0, acquireTimeout: 30, order: "fifo" });
  const leases = await Promise.all([pool.acquire(), pool.acquire(), pool.acquire()]);
  assertEquals(leases.map(({ value }) => value.id), [0, 1, 2]);
  await assertRejects(() => pool.acquire(), PoolExhaustedError, "maxWaiting");
  pool.set({ maxWaiting: 1 });
  const rejected = assertRejects(() => pool.acquire(), Error, "within 30 ms");
  await simulation.run(40);
  await rejected;
  for (const lease of leases) lease.release();
  await simulation.run(110);
  assertEquals(pool.stats.idle, 0);
  pool.set({ minIdle: 2 });
  await simulation.run(10);
  assertEquals(pool.stats.idle, 2, "the minimum is kept from now on");
  assertThrows(() => pool.set({ minIdle: 4 }), RangeError, "minIdle");
  await closeNow(simulation, pool);
});

Deno.test("KeyedPool.set() changes the options of present and new keys", async () => {
  using simulation = new Simulation(1);
  const things = new Things(simulation);
  const hosts = new KeyedPool(
    (_key: string) => things.connector,
    { maxPerKey: 1, clock: simulation.clock },
  );
  const held = hosts.acquire("a");
  await simulation.run(10);
  hosts.set({ acquireTimeout: 20 });
  const rejected = [
    assertRejects(() => hosts.acquire("a"), Error, "within 20 ms"),
  ];
  const later = hosts.acquire("b");
  await simulation.run(10);
  rejected.push(assertRejects(() => hosts.acquire("b"), Error, "within 20 ms"));
  await simulation.run(30);
  await Promise.all(rejected);
  (await held).release();
  (await later).release();
  await closeNow(simulation, hosts);
});
