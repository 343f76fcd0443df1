import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { KeyedPool, type KeyedPoolOptions, tcp } from "../../mod.ts";
import { clockOf } from "../support/clocks.ts";
import { EchoServer } from "../support/echo_server.ts";
import { Simulation } from "../support/simulation.ts";
import { sameTurn } from "../support/until.ts";
import { VirtualTime } from "../support/virtual_time.ts";

/** How long a request holds a resource, in milliseconds. */
const REQUEST = 0.2;

interface Load {
  readonly options: KeyedPoolOptions<number>;
  /** The shortest and the longest dial, in milliseconds. */
  readonly dial: readonly [least: number, most: number];
  /** How many callers each key has. Each calls again as soon as it was served. */
  readonly callers: readonly number[];
  readonly duration?: number;
}

interface Outcome {
  /** How many requests of each key were served. */
  readonly served: readonly number[];
  readonly total: number;
  /** The longest wait of each key. */
  readonly longest: readonly number[];
  readonly dials: number;
  readonly patience: number;
}

/** Runs a load in virtual time. */
async function play({ options, dial, callers, duration = 2_000 }: Load): Promise<Outcome> {
  using simulation = new Simulation(1);
  let dials = 0;
  const pool = new KeyedPool((_key: number) => async () => {
    dials++;
    await simulation.sleep(simulation.between(...dial));
    return {};
  }, { clock: simulation.clock, ...options });
  const served = callers.map(() => 0);
  const longest = callers.map(() => 0);
  let isOver = false;
  const call = async (key: number) => {
    while (!isOver) {
      const begun = simulation.now;
      using _ = await pool.acquire(key);
      longest[key] = Math.max(longest[key]!, simulation.now - begun);
      await simulation.sleep(REQUEST);
      served[key]!++;
    }
  };
  const calls = callers.flatMap((count, key) => Array.from({ length: count }, () => call(key)));
  await simulation.run(duration);
  const { patience } = pool.explain();
  const outcome = {
    served: [...served],
    total: served.reduce((sum, each) => sum + each),
    longest: [...longest],
    dials,
    patience,
  };
  isOver = true;
  await simulation.run(duration);
  await Promise.all(calls);
  const closed = pool.close();
  await simulation.run(duration);
  await closed;
  return outcome;
}

const SIX_EACH = [6, 6, 6, 6];

for (const dial of [[5, 8], [50, 75]] as const) {
  const title = `dials of ${dial[0]} to ${dial[1]} ms`;

  Deno.test(`KeyedPool, ${title}: competing keys are served as fast as with a resource for each key`, async () => {
    const rivals = { options: { maxSize: 6, maxPerKey: 4 }, dial, callers: SIX_EACH };
    const { total } = await play(rivals);
    const fixed = await play({ ...rivals, options: { maxSize: 4, maxPerKey: 1 } });
    assertGreater(total, 0.8 * fixed.total);
  });

  Deno.test(`KeyedPool, ${title}: no caller waits longer than the bound plus the earlier callers of its key`, async () => {
    const options = { maxSize: 6, maxPerKey: 4 };
    const { longest, patience } = await play({ options, dial, callers: SIX_EACH });
    // The resource is in use when the bound is over, one dial opens another, and six callers of the key are before it.
    const most = patience + dial[1] + 7 * REQUEST;
    for (const wait of longest) assertLess(wait, 1.1 * most);
  });

  Deno.test(`KeyedPool, ${title}: a key with one caller is served beside a hot one`, async () => {
    const options = { maxSize: 2, maxPerKey: 2 };
    const { served, longest, patience } = await play({ options, dial, callers: [20, 1] });
    assertLess(longest[1]!, 1.1 * (patience + dial[1] + 2 * REQUEST));
    assertGreater(served[1]!, 100);
    assertGreater(served[0]!, served[1]!);
  });
}

Deno.test("KeyedPool: a hundred keys that share four resources do not dial for each request", async () => {
  const callers = Array.from({ length: 100 }, () => 3);
  const options = { maxSize: 4, maxPerKey: 4 };
  const { total, dials, longest, served } = await play({ options, dial: [5, 8], callers });
  assertGreater(total, 10 * dials);
  assertLess(Math.max(...longest), 1_500);
  assertGreater(Math.min(...served), 0);
});

Deno.test("KeyedPool: an idle resource stays for the time of one dial, then goes to a caller of another key", async () => {
  using simulation = new Simulation(1);
  const opened: string[] = [];
  const pool = new KeyedPool((key: string) => async () => {
    await simulation.sleep(6);
    opened.push(key);
    return {};
  }, { maxSize: 1, clock: simulation.clock });
  const first = pool.acquire("a");
  await simulation.run(10);
  (await first).release();
  const rival = pool.acquire("b");
  await simulation.run(5); // a mean dial takes 6 ms
  assertEquals([pool.statsOf("a")?.idle, pool.statsOf("b")?.waiting], [1, 1]);
  await simulation.run(8);
  assertEquals(opened, ["a", "b"]);
  (await rival).release();
  const closed = pool.close();
  await simulation.run(1);
  await closed;
});

Deno.test("KeyedPool: the timer for a caller that waits for an idle resource ends when it is served otherwise", async () => {
  using time = new VirtualTime(1);
  let dials = 0;
  const pool = new KeyedPool((_key: string) => async () => {
    if (dials++ === 0) await new Promise((resolve) => setTimeout(resolve, 100));
    return {};
  }, { maxSize: 1, acquireTimeout: Infinity, clock: clockOf(() => time.now) });
  const first = pool.acquire("a");
  await sameTurn();
  time.advance(100);
  (await first).release();
  const second = pool.acquire("b");
  await sameTurn();
  assertEquals([pool.stats.waiting, time.holding], [1, 1]);
  pool.resize(2);
  (await second).release();
  assertEquals(time.holding, 0);
  await pool.close();
});

Deno.test("KeyedPool: a higher priority is served first, in the turn of the release", async () => {
  using simulation = new Simulation(1);
  const pool = new KeyedPool((_key: string) => async () => {
    await simulation.sleep(6);
    return {};
  }, { maxSize: 1, clock: simulation.clock });
  const holding = pool.acquire("a");
  await simulation.run(10);
  const lease = await holding;
  const own = pool.acquire("a");
  const urgent = pool.acquire("b", { priority: 1 });
  lease.release();
  await simulation.run(7);
  assertEquals([pool.statsOf("a")?.waiting, pool.statsOf("b")?.leased], [1, 1]);
  (await urgent).release();
  await simulation.run(20);
  (await own).release();
  const closed = pool.close();
  await simulation.run(1);
  await closed;
});

Deno.test("KeyedPool: a weight of three keeps a resource three times longer", async () => {
  const options = { maxSize: 1, maxPerKey: 1, weight: (key: number) => key === 0 ? 3 : 1 };
  const load = { options, dial: [5, 8] as const, callers: [6, 6], duration: 4_000 };
  const { served } = await play(load);
  const { served: equal } = await play({ ...load, options: { maxSize: 1, maxPerKey: 1 } });
  assertGreater(served[0]! / served[1]!, 2.5);
  assertLess(served[0]! / served[1]!, 4);
  assertLess(equal[0]! / equal[1]!, 1.2);
});

Deno.test("KeyedPool: competing keys are served about equally often", async () => {
  const options = { maxSize: 6, maxPerKey: 4 };
  const { served } = await play({ options, dial: [5, 8], callers: SIX_EACH });
  assertLess(Math.max(...served), 2 * Math.min(...served));
});

/** Counts round trips and dials of competing callers over loopback, for half a second. */
async function roundTrips(servers: readonly EchoServer[], options: KeyedPoolOptions<number>) {
  const bytes = new TextEncoder().encode("ping\n");
  let dials = 0;
  const hooks = { onConnect: () => void dials++ };
  await using pool = new KeyedPool(
    (key: number) => tcp({ port: servers[key]!.port }),
    { ...options, hooks },
  );
  let served = 0;
  const end = performance.now() + 500;
  const call = async (key: number) => {
    while (performance.now() < end) {
      using conn = await pool.acquire(key);
      await conn.writeAll(bytes);
      assertEquals(await conn.readUntil("\n"), bytes);
      served++;
    }
  };
  await Promise.all(Array.from({ length: 24 }, (_, caller) => call(caller % 4)));
  return { served, dials };
}

Deno.test("KeyedPool over tcp: competing callers of four keys cause few dials per request", async () => {
  await using a = EchoServer.listen();
  await using b = EchoServer.listen();
  await using c = EchoServer.listen();
  await using d = EchoServer.listen();
  const { served, dials } = await roundTrips([a, b, c, d], { maxSize: 6, maxPerKey: 4 });
  assert(served > 20 * dials, `${served} requests took ${dials} dials`);
});
