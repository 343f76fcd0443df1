/** set(): which options are changed while a pool is open, and what follows the change. */

import {
  assertEquals,
  assertGreater,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  type AcquireOptions,
  type KeyedLiveOptions,
  KeyedPool,
  type KeyedPoolOptions,
  type LiveOptions,
  Pool,
  PoolExhaustedError,
  type PoolOptions,
  PoolOverloadedError,
  type PoolReport,
  type PoolStats,
  PoolTimeoutError,
} from "../../mod.ts";
import { Simulation } from "../support/simulation.ts";
import { microtasks, Outcome } from "../support/scene.ts";

interface Thing {
  readonly id: number;
  isClosed: boolean;
}

type Lent = Disposable & { readonly value: Thing; release(): void };

/** What a pool and one key of a keyed pool have in common. */
interface Subject {
  readonly stats: PoolStats | undefined;
  acquire(options?: AcquireOptions): Promise<Lent>;
  warm(count: number): Promise<number>;
  explain(): PoolReport | undefined;
}

interface Stage {
  readonly simulation: Simulation;
  readonly subject: Subject;
  readonly set: (options: KeyedLiveOptions<string>) => void;
  readonly things: Thing[];
  /** What the connector does; it can be replaced. */
  readonly does: { connect: () => unknown; check: () => unknown };
  readonly retired: string[];
  readonly leaks: number[];
  /** Borrows one that can be had at once. */
  take(): Promise<Lent>;
  /** As many as are asked for are idle. */
  warm(count: number): Promise<void>;
}

const KINDS = ["Pool", "KeyedPool"] as const;

/** A test with a pool, and with a key of a keyed pool whose hooks are common, or its own. */
function testEach(
  title: string,
  options: Omit<PoolOptions, "hooks" | "clock" | "minIdle">,
  run: (stage: Stage) => Promise<void>,
): void {
  for (const kind of KINDS) {
    Deno.test(`${kind}.set(): ${title}`, async () => {
      using simulation = new Simulation(1);
      const things: Thing[] = [];
      const retired: string[] = [];
      const leaks: number[] = [];
      const does: Stage["does"] = { connect: () => {}, check: () => true };
      const connector = {
        connect: async () => {
          await does.connect();
          const thing = { id: things.length, isClosed: false };
          things.push(thing);
          return thing;
        },
        check: async () => {
          return Boolean(await does.check());
        },
        close: (thing: Thing) => void (thing.isClosed = true),
      };
      const hooks = {
        onRetire: ({ reason }: { reason: string }) => void retired.push(reason),
        onLeak: ({ held }: { held: number }) => void leaks.push(held),
      };
      const all = { ...options, clock: simulation.clock };
      const alone = new Pool(connector, { ...all, hooks });
      const hosts = new KeyedPool((_: string) => connector, {
        ...all,
        ...(all.maxSize !== undefined && { maxPerKey: all.maxSize }),
        hooks: () => hooks,
      });
      const pool = kind === "Pool" ? alone : hosts;
      const subject: Subject = kind === "Pool" ? alone : hosts.at("a");
      const stage: Stage = {
        simulation,
        subject,
        set: (changed) => kind === "Pool" ? alone.set(changed as LiveOptions) : hosts.set(changed),
        things,
        does,
        retired,
        leaks,
        take: async () => {
          const outcome = new Outcome(subject.acquire());
          await simulation.run(0);
          if (outcome.value === undefined) throw outcome.error ?? new Error("not granted");
          return outcome.value;
        },
        warm: async (count) => {
          const warmed = subject.warm(count);
          await simulation.run(0);
          await warmed;
        },
      };
      await run(stage);
      const closed = pool.close();
      await (kind === "Pool" ? hosts : alone).close();
      await simulation.run(10);
      await closed;
      assertEquals(simulation.pending, 0, "no timer is left");
      stage.set({ overload: {}, keepalive: 5, leakTimeout: 5, retry: { attempts: 3 } });
      assertEquals(simulation.pending, 0, "nor is one made when the pool is closed");
    });
  }
}

/** A good value of each option of a pool that can be changed, or why it can't. */
const OPTIONS: Record<keyof PoolOptions, { value: unknown } | { refusal: RegExp }> = {
  maxSize: { refusal: /changed by resize\(\)/ },
  minIdle: { value: 1 },
  maxIdle: { value: 3 },
  maxWaiting: { value: 3 },
  maxConnecting: { value: 3 },
  maxUses: { value: 3 },
  acquireTimeout: { value: 3 },
  connectTimeout: { value: 3 },
  idleTimeout: { value: 3 },
  maxLifetime: { value: 3 },
  lifetimeJitter: { value: 0 },
  checkAfter: { value: 3 },
  checkTimeout: { value: 3 },
  order: { value: "fifo" },
  retry: { value: { attempts: 3 } },
  name: { refusal: /errors, reports and metrics know it by that name; make another pool/ },
  track: { value: true },
  leakTimeout: { value: 3 },
  keepalive: { value: 3 },
  overload: { value: false },
  hooks: { refusal: /observe\(\)/ },
  clock: { refusal: /deadlines go by it that are running; make another pool/ },
};

const KEYED_OPTIONS: Record<keyof KeyedPoolOptions<string>, (typeof OPTIONS)["name"]> = {
  ...OPTIONS,
  maxPerKey: { value: 3 },
  weight: { value: () => 2 },
  keyOf: { refusal: /tells the present keys apart; make another pool/ },
};

Deno.test("set() changes each option, or says why it can't and what to use instead", async () => {
  await using alone = new Pool(() => ({}));
  await using keyed = new KeyedPool((_: string) => () => ({}));
  (await keyed.acquire("a")).release();
  const minIdle = { refusal: /a key that nobody uses leaves nothing behind; warm\(\) opens/ };
  for (
    const [pool, options] of [[alone, OPTIONS], [keyed, { ...KEYED_OPTIONS, minIdle }]] as const
  ) {
    for (const [name, what] of Object.entries(options)) {
      const set = (value: unknown) => pool.set({ [name]: value });
      if ("value" in what) set(what.value);
      else assertMatch(assertThrows(() => set(1), TypeError).message, what.refusal);
    }
    const unknown = assertThrows(() => pool.set({ max: 5 } as LiveOptions), TypeError);
    assertStringIncludes(unknown.message, "'max' is not an option");
  }
});

Deno.test("set() changes nothing if one of the options is not valid", async () => {
  const { pool, keyed } = {
    pool: new Pool(() => ({}), { maxSize: 2, maxIdle: 2, retry: { maxDelay: 200 } }),
    keyed: new KeyedPool((_: string) => () => ({}), { maxPerKey: 2 }),
  };
  const bad: [LiveOptions, string][] = [
    [{ maxWaiting: 0, order: "lilo" as "lifo" }, "'order'"],
    [{ maxWaiting: 0, minIdle: 3 }, "'maxSize' must be at least 'minIdle' (3)"],
    [{ maxWaiting: 0, minIdle: 2, maxIdle: 1 }, "'maxIdle'"],
    [{ maxWaiting: 0, retry: { minDelay: 300 } }, "'retry.maxDelay'"],
    [{ maxWaiting: 0, overload: { target: 0 } }, "'overload.target'"],
    [{ maxWaiting: 0, overload: true as unknown as false }, "'overload'"],
  ];
  for (const [options, message] of bad) {
    assertThrows(() => pool.set(options), Error, message);
  }
  const weight = () => 0;
  (await keyed.acquire("a")).release();
  assertThrows(
    () => keyed.set({ maxWaiting: 0, maxPerKey: 1, weight }),
    RangeError,
    "'weight(key)'",
  );
  assertEquals(keyed.stats.maxPerKey, 2);
  for (const each of [pool, keyed.at("a")]) {
    const leases = await Promise.all([each.acquire(), each.acquire()]);
    const waiter = each.acquire(); // maxWaiting is not 0
    for (const lease of leases) lease.release();
    (await waiter).release();
  }
  await pool.close();
  await keyed.close();
});

testEach(
  "a lower maxIdle closes the surplus at once, those that are idle longest",
  {},
  async (stage) => {
    await stage.warm(3);
    stage.set({ maxIdle: 1 });
    await microtasks();
    assertEquals(stage.things.map(({ isClosed }) => isClosed), [true, true, false]);
    assertEquals(stage.retired, ["surplus", "surplus"]);
  },
);

testEach("a shorter idleTimeout counts the time for which resources have rested already", {
  idleTimeout: 1_000,
}, async ({ simulation, set, things, retired, warm }) => {
  await warm(1);
  await simulation.run(300);
  await warm(2);
  await simulation.run(100);
  set({ idleTimeout: 200 });
  await microtasks();
  assertEquals(things.map(({ isClosed }) => isClosed), [true, false]);
  await simulation.run(90);
  assertEquals(things[1]!.isClosed, false);
  await simulation.run(20);
  assertEquals([things[1]!.isClosed, retired], [true, ["idle", "idle"]]);
  await warm(1);
  set({ idleTimeout: 0 });
  await microtasks();
  assertEquals(things[2]!.isClosed, true);
});

testEach(
  "a longer idleTimeout holds for what rests already",
  { idleTimeout: 100 },
  async (stage) => {
    const { simulation, set, things, warm } = stage;
    await warm(1);
    await simulation.run(50);
    set({ idleTimeout: 1_000 });
    await simulation.run(900);
    assertEquals(things[0]!.isClosed, false);
    await simulation.run(60);
    assertEquals(things[0]!.isClosed, true);
  },
);

testEach(
  "a maxUses that is reached already closes what is idle, and at the release what is leased",
  {},
  async (stage) => {
    const { set, things, retired, take } = stage;
    const [first, second] = [await take(), await take()];
    first.release();
    set({ maxUses: 1 });
    await microtasks();
    assertEquals(things.map(({ isClosed }) => isClosed), [true, false]);
    second.release();
    await microtasks();
    assertEquals([things[1]!.isClosed, retired], [true, ["uses", "uses"]]);
  },
);

testEach("maxLifetime and lifetimeJitter hold for what is open already", {}, async (stage) => {
  const { simulation, set, things, retired, take } = stage;
  const [first, second] = [await take(), await take()];
  first.release();
  await simulation.run(100);
  set({ maxLifetime: 200, lifetimeJitter: 0 });
  await simulation.run(90);
  assertEquals(things.map(({ isClosed }) => isClosed), [false, false]);
  await simulation.run(20);
  assertEquals(things.map(({ isClosed }) => isClosed), [true, false]);
  set({ maxLifetime: 1_000 });
  second.release();
  await microtasks();
  assertEquals(things[1]!.isClosed, false);
  set({ maxLifetime: 100 });
  await microtasks();
  assertEquals([things[1]!.isClosed, retired], [true, ["lifetime", "lifetime"]]);
});

for (
  const [title, changed] of [
    ["maxLifetime", { maxLifetime: 200, lifetimeJitter: 0 }],
    ["idleTimeout", { idleTimeout: 200 }],
  ] as const
) {
  testEach(
    `${title} holds for what is being checked meanwhile`,
    { keepalive: 100 },
    async (stage) => {
      const { simulation, set, things, does, warm } = stage;
      await warm(1);
      does.check = () => simulation.sleep(50).then(() => true);
      await simulation.run(110); // the check is under way
      set({ ...changed, keepalive: Infinity });
      await simulation.run(80);
      assertEquals(things[0]!.isClosed, false);
      await simulation.run(20);
      assertEquals(things[0]!.isClosed, true);
    },
  );
}

testEach("keepalive checks what is idle already, and Infinity ends that", {}, async (stage) => {
  const { simulation, set, does, warm } = stage;
  await warm(1);
  let checks = 0;
  does.check = () => ++checks;
  await simulation.run(1_000);
  set({ keepalive: 100 });
  await simulation.run(250);
  assertEquals(checks, 3);
  set({ keepalive: Infinity });
  await simulation.run(1_000);
  assertEquals(checks, 3);
});

testEach("checkAfter and order hold for the next acquire", { order: "lifo" }, async (stage) => {
  const { simulation, set, does, warm, take } = stage;
  let checks = 0;
  does.check = () => ++checks;
  await warm(2);
  await simulation.run(10);
  set({ order: "fifo" });
  const lease = await take();
  assertEquals([lease.value.id, checks], [0, 0]);
  set({ order: "lifo", checkAfter: 10 });
  const other = await take();
  assertEquals([other.value.id, checks], [1, 1]);
  lease.release();
  other.release();
});

testEach("a call that is under way keeps its time, and the error says which", {
  connectTimeout: 100,
  checkTimeout: 100,
  checkAfter: 0,
}, async ({ simulation, subject, set, does, things, warm }) => {
  await warm(1);
  const never = () => new Promise(() => {});
  does.check = never;
  does.connect = never;
  const dials = () => assertRejects(() => subject.acquire(), PoolTimeoutError, "connect");
  const errors: Promise<PoolTimeoutError>[] = [dials()]; // after a check of 100 ms
  errors.push(dials());
  await simulation.run(50);
  set({ connectTimeout: 20, checkTimeout: 20 });
  await simulation.run(40);
  assertEquals(things[0]!.isClosed, false);
  await simulation.run(100);
  const [later, earlier] = await Promise.all(errors);
  assertMatch(earlier!.message, /100 ms/);
  assertMatch(later!.message, /20 ms/);
});

testEach("callers that wait keep their timeout, and later ones have the new one", {
  maxSize: 1,
  acquireTimeout: 100,
}, async ({ simulation, subject, set, take }) => {
  const lease = await take();
  const errors = [assertRejects(() => subject.acquire(), PoolTimeoutError, "within 100 ms")];
  set({ acquireTimeout: 20, maxWaiting: 1 });
  await assertRejects(() => subject.acquire(), PoolExhaustedError, "maxWaiting");
  set({ maxWaiting: 2 });
  errors.push(assertRejects(() => subject.acquire(), PoolTimeoutError, "within 20 ms"));
  await simulation.run(30);
  set({ maxWaiting: 0 });
  assertEquals(subject.stats!.waiting, 1, "who waits already is not refused");
  await simulation.run(80);
  await Promise.all(errors);
  lease.release();
});

testEach("a higher maxConnecting lets dials begin at once", { maxConnecting: 1 }, async (stage) => {
  const { simulation, subject, set, does } = stage;
  does.connect = () => simulation.sleep(50);
  const calls = [subject.acquire(), subject.acquire(), subject.acquire()];
  await microtasks();
  assertEquals(subject.stats!.connecting, 1);
  set({ maxConnecting: 2 });
  assertEquals(subject.stats!.connecting, 2);
  set({ maxConnecting: Infinity });
  assertEquals(subject.stats!.connecting, 3);
  await simulation.run(60);
  for (const call of calls) (await call).release();
});

testEach("retry ends the delay that is running, and what is not given of it stays", {
  retry: { attempts: Infinity, minDelay: 60_000, maxDelay: 60_000 },
}, async ({ simulation, subject, set, does }) => {
  let dials = 0;
  does.connect = () => {
    dials++;
    throw new Error("refused");
  };
  const caller = new Outcome(subject.acquire({ timeout: Infinity }));
  await simulation.run(1_000);
  assertEquals(dials, 1);
  set({ retry: { minDelay: 10 } });
  await simulation.run(100);
  assertGreater(dials, 3);
  const most = dials;
  set({ retry: { minDelay: 50, maxDelay: 50 } });
  await simulation.run(100);
  assertGreater(dials, most + 1, "and the delays do not grow beyond the new ones");
  assertEquals(caller.state, "pending", "any number of attempts still");
  set({ retry: { attempts: 1 } });
  await simulation.run(10);
  assertEquals(caller.state, "rejected");
});

testEach("retry lets a dial find out whether a final failure still holds", {
  retry: { minDelay: 60_000, maxDelay: 60_000 },
}, async ({ simulation, subject, set, does, take }) => {
  does.connect = () => {
    throw new Deno.errors.NotCapable("denied");
  };
  const refused = assertRejects(() => subject.acquire(), Deno.errors.NotCapable);
  await simulation.run(10);
  await refused;
  does.connect = () => {};
  set({ retry: { minDelay: 10 } });
  (await take()).release();
});

testEach("track and leakTimeout hold for leases from then on", { maxSize: 3 }, async (stage) => {
  const { simulation, subject, set, leaks, take } = stage;
  const before = await take();
  set({ track: true });
  const tracked = await take();
  const sites = () => subject.explain()!.leases.map(({ acquiredAt }) => acquiredAt !== undefined);
  assertEquals(sites(), [false, true]);
  await simulation.run(100);
  set({ leakTimeout: 50 });
  assertEquals(leaks, [100], "what is tracked already counts from its acquire");
  const held = await take();
  const waiter = subject.acquire(); // its site is known
  set({ leakTimeout: Infinity, track: false });
  assertEquals(sites(), [false, false, false]);
  await simulation.run(100);
  assertEquals(leaks, [100]);
  for (const lease of [before, tracked, held]) lease.release();
  (await waiter).release();
  set({ leakTimeout: 50 });
  const again = await take();
  assertEquals(sites(), [true], "leakTimeout turns track on");
  again.release();
});

testEach(
  "overload can be turned on and off while callers wait, and what is not given of it stays",
  {
    maxSize: 1,
  },
  async ({ simulation, subject, set, take }) => {
    const lease = await take();
    const refusedAfter = async (options: LiveOptions, most: number) => {
      const caller = new Outcome(subject.acquire({ timeout: Infinity }));
      const begun = simulation.now;
      set(options);
      while (caller.state === "pending" && simulation.now - begun < most) await simulation.run(5);
      const { state, error } = caller;
      if (state === "rejected") {
        return error instanceof PoolOverloadedError && simulation.now - begun;
      }
      caller.value?.release();
      return state;
    };
    assertEquals(await refusedAfter({ overload: { target: 10, interval: 60 } }, 500), 60);
    assertEquals(await refusedAfter({ overload: { target: 20 } }, 500), 60);
    assertEquals(await refusedAfter({ overload: { interval: 60_000 } }, 500), "pending");
    assertEquals(await refusedAfter({ overload: { interval: 45 } }, 500), 45);
    assertEquals(await refusedAfter({ overload: false }, 500), "pending");
    assertEquals(await refusedAfter({ overload: {} }, 5_000), 1_000, "by the defaults again");
    lease.release();
  },
);

Deno.test("Pool.set(): a lower minIdle lets go of what idleTimeout 0 keeps, and a higher one opens at once", async () => {
  const pool = new Pool(() => ({}), { minIdle: 3, idleTimeout: 0 });
  await microtasks();
  pool.set({ minIdle: 1 });
  await microtasks();
  assertEquals(pool.stats.idle, 1);
  pool.set({ minIdle: 2 });
  await microtasks();
  assertEquals([pool.stats.idle, pool.stats.retired.idle], [2, 2]);
  await pool.close();
});

Deno.test("Pool.set(): retry ends the delay before minIdle is kept again too", async () => {
  using simulation = new Simulation(1);
  const retires: ((reason: unknown, options: { now: boolean }) => void)[] = [];
  const pool = new Pool({
    connect: ({ retire }) => {
      retires.push(retire);
      return {};
    },
  }, {
    minIdle: 1,
    retry: { minDelay: 60_000, maxDelay: 60_000 },
    clock: simulation.clock,
  });
  await simulation.run(10);
  retires[0]!("unused", { now: true });
  await simulation.run(1_000);
  assertEquals(pool.stats.idle, 0);
  pool.set({ retry: { minDelay: 10 } });
  await simulation.run(0);
  assertEquals(pool.stats.idle, 1);
  const closed = pool.close();
  await simulation.run(10);
  await closed;
});

Deno.test("Pool.set(): a shorter idleTimeout does not replace what minIdle keeps", async () => {
  using simulation = new Simulation(1);
  const pool = new Pool(() => ({}), { minIdle: 2, clock: simulation.clock });
  await pool.warm(4);
  await simulation.run(10_000);
  pool.set({ idleTimeout: 1_000 });
  await simulation.run(5_000);
  assertEquals([pool.stats.idle, pool.stats.dials.ok], [2, 4]);
  const closed = pool.close();
  await simulation.run(10);
  await closed;
});

Deno.test("Pool.set(): a maxUses that is reached already replaces what minIdle keeps, the new one first", async () => {
  const pool = new Pool(() => ({}), { minIdle: 2, order: "fifo" });
  await pool.warm();
  for (let i = 0; i < 9; i++) (await pool.acquire()).release(); // three times each of three
  const fewest: number[] = [];
  const look = () => void fewest.push(pool.stats.idle);
  using _hooks = pool.observe({ onRetire: look, onConnect: look });
  pool.set({ maxUses: 3 });
  await microtasks();
  assertEquals([pool.stats.idle, pool.stats.retired.uses], [2, 3]);
  assertEquals(Math.min(...fewest), 2);
  await pool.close();
});

Deno.test("Pool.set(): without room, a maxUses that is reached already replaces one after the other", async () => {
  using simulation = new Simulation(1);
  const connect = () => simulation.sleep(10).then(() => ({}));
  const options = { minIdle: 3, maxSize: 3, order: "fifo", clock: simulation.clock } as const;
  const pool = new Pool({ connect }, options);
  await simulation.run(10);
  for (let i = 0; i < 3; i++) (await pool.acquire()).release();
  pool.set({ maxUses: 1 });
  await simulation.run(15);
  assertEquals(pool.stats.retired.uses, 2, "the second one has made way, the third not yet");
  await simulation.run(10);
  assertEquals([pool.stats.idle, pool.stats.retired.uses], [2, 3]);
  await simulation.run(10);
  assertEquals(pool.stats.idle, 3);
  const closed = pool.close();
  await simulation.run(10);
  await closed;
});

Deno.test("Pool.set(): what has reached a lower maxUses is not lent while its replacement is opened", async () => {
  using simulation = new Simulation(1);
  const connect = () => simulation.sleep(10).then(() => ({}));
  const pool = new Pool({ connect }, { maxSize: 3, clock: simulation.clock });
  const acquired = [1, 2].map(() => pool.acquire());
  await simulation.run(10);
  for (const lease of await Promise.all(acquired)) lease.release();
  pool.set({ maxUses: 1, minIdle: 1 });
  const next = pool.acquire();
  await simulation.run(10);
  const lease = await next;
  assertEquals([lease.reused, pool.stats.retired.uses], [false, 2]);
  lease.release();
  const closed = pool.close();
  await simulation.run(10);
  await closed;
});

Deno.test("KeyedPool.set(): maxPerKey closes what is idle beyond it, and lets waiters dial", async () => {
  await using hosts = new KeyedPool((_: string) => () => ({}), { maxSize: 10, maxPerKey: 3 });
  const acquire = (key: string) => hosts.acquire(key);
  const leases = await Promise.all([acquire("a"), acquire("a"), acquire("a"), acquire("b")]);
  const waiter = acquire("a");
  await microtasks();
  assertEquals(hosts.at("a").stats!.waiting, 1);
  hosts.set({ maxPerKey: 4 });
  leases.push(await waiter);
  const [first, second, ...others] = leases;
  first!.release();
  second!.release();
  hosts.set({ maxPerKey: 1 });
  await microtasks();
  const { idle, leased, maxSize } = hosts.at("a").stats!;
  assertEquals([idle, leased, maxSize, hosts.stats.maxPerKey], [0, 2, 1, 1]);
  for (const lease of others) lease.release();
  await microtasks();
  assertEquals([hosts.at("a").stats!.size, hosts.at("b").stats!.size], [1, 1]);
  using _c = await acquire("c");
  await assertRejects(() => hosts.acquire("c", { timeout: 0 }), PoolExhaustedError, "maxPerKey");
});

Deno.test("KeyedPool.set(): a higher weight lets a busy key keep its resource for longer, at once", async () => {
  using simulation = new Simulation(1);
  const hosts = new KeyedPool((_: string) => () => ({}), { maxSize: 1, clock: simulation.clock });
  let isOver = false;
  const busy = [1, 2].map(async () => {
    while (!isOver) await hosts.use("busy", () => simulation.sleep(1));
  });
  const waitOfOther = async () => {
    await simulation.run(100);
    const begun = simulation.now;
    const served = new Outcome(hosts.use("other", () => {}));
    while (served.state === "pending") await simulation.run(1);
    return simulation.now - begun;
  };
  const usual = await waitOfOther();
  hosts.set({ weight: (key) => key === "busy" ? 10 : 1 });
  assertGreater(await waitOfOther(), 5 * usual);
  isOver = true;
  await simulation.run(10);
  await Promise.all(busy);
  const closed = hosts.close();
  await simulation.run(10);
  await closed;
});

Deno.test("KeyedPool.set(): weight is asked anew for the present keys, and for later ones", async () => {
  const asked: string[] = [];
  await using hosts = new KeyedPool((_: string) => () => ({}));
  const leases = [await hosts.acquire("a"), await hosts.acquire("b")];
  hosts.set({
    weight: (key) => {
      asked.push(key);
      return 2;
    },
  });
  assertEquals(asked, ["a", "b"]);
  leases.push(await hosts.acquire("c"));
  assertEquals(asked, ["a", "b", "c"]);
  for (const lease of leases) lease.release();
});

for (const kind of KINDS) {
  Deno.test(`${kind}.set(): retry lets a final failure be tried again at once, and then after the new delay`, async () => {
    using simulation = new Simulation(1);
    let dials = 0;
    const connector = {
      connect: () => {
        dials++;
        throw new Error("wrong password");
      },
      isRetryable: () => false,
    };
    const options = { retry: { minDelay: 5_000 }, clock: simulation.clock };
    const pool = new Pool(connector, options);
    const hosts = new KeyedPool((_: string) => connector, options);
    const one = kind === "Pool" ? pool : hosts.at("a");
    const fail = () => assertRejects(() => one.acquire(), Error, "wrong password");
    for (let i = 0; i < 2; i++) await fail();
    assertEquals(dials, 1);
    (kind === "Pool" ? pool : hosts).set({ retry: { minDelay: 10 } });
    for (let i = 0; i < 2; i++) await fail();
    assertEquals(dials, 2);
    await simulation.run(10);
    for (let i = 0; i < 2; i++) await fail();
    assertEquals(dials, 3);
    await Promise.all([pool.close(), hosts.close()]);
  });
}

Deno.test("KeyedPool.set() from a function that is asked about a new key holds for that key", async () => {
  await using hosts = new KeyedPool((_: string) => () => ({}), {
    hooks: () => ({}),
    weight: () => {
      hosts.set({ maxWaiting: 0, maxPerKey: 7 });
      return 1;
    },
  });
  hosts.at("a").pause();
  await assertRejects(() => hosts.acquire("a"), PoolExhaustedError);
});

Deno.test("KeyedPool.set(): of two calls, one from a hook during the other, the later one holds for all keys", async () => {
  const again = [{ maxPerKey: 7, maxWaiting: 0 }];
  const hosts = new KeyedPool((_: string) => () => ({}), {
    hooks: () => ({
      onRetire: () => {
        const options = again.pop();
        if (options !== undefined) hosts.set(options);
      },
    }),
  });
  for (const key of ["a", "b"]) {
    await hosts.acquire(key); // so that the key stays
    await hosts.warm(key, 1);
  }
  hosts.set({ maxIdle: 0, maxPerKey: 5, maxWaiting: 9 });
  assertEquals(again, []);
  for (const key of ["a", "b", "c"]) {
    hosts.at(key).pause();
    await assertRejects(() => hosts.acquire(key), PoolExhaustedError);
    assertEquals(hosts.at(key).stats?.maxSize, 7);
  }
  await hosts.close({ force: true });
});

Deno.test("KeyedPool.set() holds for keys whose hooks are their own, and for later keys", async () => {
  for (const hooks of [{}, () => ({})]) {
    await using hosts = new KeyedPool((_: string) => () => ({}), { hooks, maxPerKey: 1 });
    using _a = await hosts.acquire("a");
    hosts.set({ acquireTimeout: 0, retry: { attempts: 2 } });
    using _b = await hosts.acquire("b");
    for (const key of ["a", "b"]) {
      await assertRejects(() => hosts.acquire(key), PoolExhaustedError, "maxPerKey");
    }
  }
});
