import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  type CloseOptions,
  failover,
  KeyedPool,
  Lease,
  LeaseReleasedError,
  type LeaseSlot,
  Pool,
  PoolClosedError,
  type RetireReason,
} from "../../mod.ts";
import { eachCase, microtasks, Scene } from "../support/scene.ts";
import { ScriptedConnector, type Thing } from "../support/scripted_connector.ts";

function sceneOf(options = {}): Scene {
  return new Scene(new ScriptedConnector({}, ["check", "reset"]), { maxSize: 2, ...options });
}

/** Every way to end a lease. */
const ENDS: Record<string, (lease: Lease<Thing>) => unknown> = {
  release: (lease) => lease.release(),
  discard: (lease) => lease.discard(),
  detach: (lease) => lease.detach().detached = true,
  dispose: (lease) => lease[Symbol.dispose](),
};

Deno.test("a lease has its resource, and says whether that was lent before", async () => {
  using scene = sceneOf();
  const first = await scene.take();
  const { value } = first;
  assertInstanceOf(first, Lease);
  assertEquals([first.reused, first.ended], [false, false]);
  first.release();
  assertEquals([first.reused, first.ended], [false, true]);
  const second = await scene.take();
  assertStrictEquals(second.value, value);
  assertEquals([second.reused, second.ended], [true, false]);
  await scene.end();
});

Deno.test("every method of an ended lease throws, except release()", async () => {
  await eachCase(Object.keys(ENDS), String, async (end) => {
    using scene = sceneOf();
    const lease = await scene.take();
    ENDS[end]!(lease);
    assertEquals(lease.ended, true);
    const { retired, size } = scene.pool.stats;
    assertThrows(() => lease.value, LeaseReleasedError);
    assertThrows(() => lease.discard(), LeaseReleasedError);
    assertThrows(() => lease.detach(), LeaseReleasedError);
    lease.release();
    lease[Symbol.dispose]();
    assertEquals([scene.pool.stats.retired, scene.pool.stats.size], [retired, size]);
    await microtasks();
    scene.assertAtRest();
    await scene.end();
  });
});

Deno.test("an ended lease does not affect the next lease of the same resource", async () => {
  using scene = sceneOf({ maxSize: 1 });
  const old = await scene.take();
  old.release();
  const present = await scene.take();
  old.release();
  old[Symbol.dispose]();
  assertThrows(() => old.discard(), LeaseReleasedError);
  assertThrows(() => old.detach(), LeaseReleasedError);
  assertThrows(() => old.value, LeaseReleasedError);
  assertEquals([present.ended, present.value.closes], [false, 0]);
  assertEquals(scene.pool.tryAcquire(), undefined);
  scene.assertReal();
  await scene.end();
});

Deno.test("a release followed by the end of `using` returns the resource once", async () => {
  using scene = sceneOf();
  let first: Thing;
  {
    using lease = await scene.take();
    first = lease.value;
    lease.release();
  }
  assertEquals(scene.pool.stats.idle, 1);
  const [a, b] = [await scene.take(), await scene.take()];
  assertStrictEquals(a.value, first);
  assert(a.value !== b.value);
  await scene.end();
});

Deno.test("the end of `using` does nothing to a lease that has ended", async () => {
  await eachCase(Object.keys(ENDS), String, async (end) => {
    using scene = sceneOf();
    {
      using lease = await scene.take();
      ENDS[end]!(lease);
    }
    await microtasks();
    assertEquals(scene.pool.stats.leased, 0);
    await scene.end();
  });
});

Deno.test("`using` releases the lease also when its scope throws", async () => {
  using scene = sceneOf();
  const error = new Error("the scope's");
  try {
    using _lease = await scene.take();
    throw error;
  } catch (caught) {
    assertStrictEquals(caught, error);
  }
  assertEquals([scene.pool.stats.leased, scene.pool.stats.idle], [0, 1]);
  await scene.end();
});

Deno.test("discard closes the resource once, and frees its slot when it is closed", async () => {
  const reasons: [RetireReason, unknown][] = [];
  const hooks = {
    onRetire: ({ reason, detail }: { reason: RetireReason; detail?: unknown }) => {
      reasons.push([reason, detail]);
    },
  };
  using scene = sceneOf({ maxSize: 1, hooks });
  const lease = await scene.take();
  const { value } = lease;
  scene.connector.script.close = "slow";
  lease.discard("worn out");
  assertEquals([scene.pool.stats.closing, value.closes], [1, 1]);
  const waiter = scene.acquire();
  await scene.elapse(10);
  assertEquals([waiter.state, scene.pool.stats.closing], ["fulfilled", 0]);
  assert(waiter.value?.value !== value);
  assertEquals(reasons, [["discarded", "worn out"]]);
  await scene.end();
});

Deno.test("after 100 discards a pool of 2 still gives two leases", async () => {
  using scene = sceneOf();
  for (let i = 0; i < 50; i++) {
    const leases = [await scene.take(), await scene.take()];
    for (const lease of leases) lease.discard();
  }
  assertEquals(scene.pool.stats.retired.discarded, 100);
  await microtasks();
  scene.assertAtRest();
  await scene.assertFullCapacity();
  await scene.end();
});

Deno.test("detach frees the slot at once, and the pool never closes the resource", async () => {
  using scene = sceneOf({ maxSize: 1 });
  const lease = await scene.take();
  const { value } = lease;
  const waiter = scene.acquire();
  assertStrictEquals(lease.detach(), value);
  value.detached = true;
  await microtasks();
  assertEquals([waiter.state, scene.pool.stats.size], ["fulfilled", 1]);
  assert(waiter.value?.value !== value);
  assertEquals(scene.pool.stats.retired.discarded, 0);
  await scene.end();
  assertEquals(value.closes, 0);
});

Deno.test("a detached resource may be returned by connect() again, as a new one", async () => {
  const shared = { closes: 0 };
  await using pool = new Pool({ connect: () => shared, close: (it) => void it.closes++ });
  (await pool.acquire()).detach();
  using lease = await pool.acquire();
  assertEquals([lease.value === shared, lease.reused], [true, false]);
});

Deno.test("a lease whose resource was closed by force ends like any other", async () => {
  await eachCase(["release", "discard", "dispose"], String, async (end) => {
    using scene = sceneOf();
    const lease = await scene.take();
    const { value } = lease;
    scene.close({ force: true });
    assertEquals(value.closes, 1);
    ENDS[end]!(lease);
    assertThrows(() => lease.value, LeaseReleasedError);
    await scene.end();
  });
});

Deno.test("a connector may make its own leases, which end like the pool's", async () => {
  class NumberLease extends Lease<number> {
    get doubled(): number {
      return this.value * 2;
    }
  }
  const closed: number[] = [];
  await using pool = new Pool<number, NumberLease>({
    connect: () => 21,
    close: (resource) => void closed.push(resource),
    lease: (slot: LeaseSlot<number>) => new NumberLease(slot),
  });
  {
    using lease = await pool.acquire();
    assertEquals([lease.doubled, lease.reused], [42, false]);
  }
  using lease = pool.tryAcquire();
  assert(lease instanceof NumberLease);
  assertEquals(lease.reused, true);
  lease.discard();
  assertThrows(() => lease.doubled, LeaseReleasedError);
  assertEquals(closed, [21]);
});

Deno.test("a LeaseReleasedError says what to do", () => {
  const slot = {
    resource: 1,
    uses: 1,
    closing: new AbortController().signal,
    release() {},
    discard() {},
    detach() {},
  };
  const lease = new Lease(slot);
  lease.release();
  const error = assertThrows(() => lease.value, LeaseReleasedError, "acquire a new one");
  assertInstanceOf(error, Error);
  assertEquals(error.name, "LeaseReleasedError");
});

interface Closable {
  acquire(): Promise<Lease<object>>;
  clear(): void;
  pause(): void;
  resume(): void;
  recycle(): Promise<void>;
  close(options?: CloseOptions): Promise<void>;
}

const connectThing = () => ({});

const closables: Record<string, () => Closable> = {
  "Pool": () => new Pool(connectThing, { maxSize: 2 }),
  "Pool of a failover()": () => new Pool(failover(connectThing), { maxSize: 2 }),
  "KeyedPool": () => {
    const hosts = new KeyedPool((_key: string) => connectThing, { maxSize: 2 });
    return { ...hosts.at("a"), close: (options) => hosts.close(options) };
  },
};

for (const [title, poolOf] of Object.entries(closables)) {
  for (const waiters of ["reject", "serve"] as const) {
    Deno.test(`${title}: lease.closing is aborted in the turn of close({ waiters: "${waiters}" }), and by nothing else`, async () => {
      const pool = poolOf();
      const [first, second] = [await pool.acquire(), await pool.acquire()];
      const { closing } = first;
      const waiting = pool.acquire().catch((error) => error);
      pool.pause();
      pool.resume();
      pool.clear();
      const recycled = pool.recycle().catch(() => {});
      assertEquals([closing.aborted, first.closing === closing], [false, true]);
      const closed = pool.close({ waiters });
      assertInstanceOf(closing.reason, PoolClosedError);
      assertEquals(second.closing.aborted, true);
      first.release();
      second.release();
      const last = await waiting;
      if (waiters === "serve") {
        assertEquals(last.closing.aborted, true);
        last.release();
      }
      await Promise.all([closed, recycled]);
      assertThrows(() => first.closing, LeaseReleasedError);
    });
  }

  Deno.test(`${title}: lease.closing is aborted if it is asked for only after close()`, async () => {
    const pool = poolOf();
    const lease = await pool.acquire();
    const closed = pool.close();
    assertInstanceOf(lease.closing.reason, PoolClosedError);
    lease.release();
    await closed;
  });
}
