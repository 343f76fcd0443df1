import {
  assert,
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertRejects,
} from "@std/assert";
import {
  KeyedPool,
  Pool,
  type PoolOptions,
  PoolOverloadedError,
  PoolTimeoutError,
} from "../../mod.ts";
import { Simulation } from "../support/simulation.ts";

const TARGET = 100;
const OVERLOAD = { target: TARGET, interval: 1_000 };
const MAX_SIZE = 10;
/** How long a request holds a resource, in milliseconds. */
const REQUEST = 20;
/** How long callers wait at most. */
const DEADLINE = 3_000;
const DURATION = 10_000;

interface Outcome {
  /** The waits of served callers, in order of arrival. */
  readonly waits: { readonly came: number; readonly waited: number; readonly priority: number }[];
  /** How many requests were done within `DURATION`. */
  readonly done: number;
  readonly overloaded: PoolOverloadedError[];
  readonly timedOut: number;
}

interface Load {
  /** The load, as a multiple of the pool's capacity. */
  readonly load: number;
  readonly options?: PoolOptions;
  readonly timeoutOf?: (caller: number) => number;
  readonly priorityOf?: (caller: number) => number;
}

/** Callers arrive at even intervals, once each. */
async function play(
  { load, options, timeoutOf = () => DEADLINE, priorityOf = () => 0 }: Load,
): Promise<Outcome> {
  using simulation = new Simulation(1);
  const { clock } = simulation;
  const pool = new Pool(() => ({}), { maxSize: MAX_SIZE, clock, ...options });
  const outcome = {
    waits: [] as Outcome["waits"],
    done: 0,
    overloaded: [] as PoolOverloadedError[],
    timedOut: 0,
  };
  const call = async (priority: number, timeout: number) => {
    const came = simulation.now;
    try {
      using _ = await pool.acquire({ timeout, priority });
      outcome.waits.push({ came, waited: simulation.now - came, priority });
      await simulation.sleep(REQUEST);
      if (simulation.now <= DURATION) outcome.done++;
    } catch (error) {
      if (error instanceof PoolOverloadedError) outcome.overloaded.push(error);
      else if (error instanceof PoolTimeoutError) outcome.timedOut++;
      else throw error;
    }
  };
  const interval = REQUEST / MAX_SIZE / load;
  const calls: Promise<void>[] = [];
  for (let caller = 0; caller * interval < DURATION; caller++) {
    calls.push(call(priorityOf(caller), timeoutOf(caller)));
    await simulation.run(interval);
  }
  await simulation.run(DEADLINE + REQUEST);
  await Promise.all(calls);
  const closed = pool.close();
  await simulation.run(0);
  await closed;
  assertEquals(simulation.pending, 0, "no timer is left");
  return outcome;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
}

const CAPACITY = MAX_SIZE * DURATION / REQUEST;

Deno.test("Pool with overload: at twice the capacity the callers served wait for less than four times the target", async () => {
  const { waits, done, overloaded } = await play({ load: 2, options: { overload: OVERLOAD } });
  assertLess(median(waits.map(({ waited }) => waited)), 4 * TARGET);
  const later = waits.filter(({ came }) => came > DURATION / 2);
  assertLess(median(later.map(({ waited }) => waited)), 4 * TARGET);
  assertGreaterOrEqual(done, 0.9 * CAPACITY);
  assertGreater(overloaded.length, CAPACITY / 2);
});

Deno.test("Pool without overload: at twice the capacity the wait grows to the deadline", async () => {
  const { waits, overloaded } = await play({ load: 2 });
  const later = waits.filter(({ came }) => came > DURATION / 2);
  assertGreater(median(later.map(({ waited }) => waited)), 0.9 * DEADLINE);
  assertEquals(overloaded.length, 0);
});

Deno.test("Pool with overload: callers that time out before the target count as delay", async () => {
  const timeoutOf = (caller: number) => caller % 2 === 0 ? TARGET / 2 : DEADLINE;
  const { waits, timedOut, done } = await play({
    load: 4,
    options: { overload: OVERLOAD },
    timeoutOf,
  });
  assertGreater(timedOut, CAPACITY);
  const later = waits.filter(({ came }) => came > DURATION / 2);
  assertLess(median(later.map(({ waited }) => waited)), 4 * TARGET);
  assertGreaterOrEqual(done, 0.9 * CAPACITY);
});

Deno.test("Pool with overload: under a load within its capacity every caller is served", async () => {
  const { waits, overloaded, timedOut } = await play({
    load: 0.9,
    options: { overload: OVERLOAD },
  });
  assertEquals([overloaded.length, timedOut], [0, 0]);
  assertEquals(waits.length, Math.ceil(0.9 * CAPACITY));
});

Deno.test("Pool with overload: a burst that the queue can absorb is not rejected", async () => {
  using simulation = new Simulation(1);
  const { clock } = simulation;
  const pool = new Pool(() => ({}), { maxSize: MAX_SIZE, clock, overload: OVERLOAD });
  let served = 0;
  const calls = Array.from({ length: 300 }, async () => {
    using _ = await pool.acquire();
    await simulation.sleep(REQUEST);
    served++;
  });
  await simulation.run(1_000);
  await Promise.all(calls);
  assertEquals(served, 300, "the last of them waited for 580 ms");
  const closed = pool.close();
  await simulation.run(0);
  await closed;
});

Deno.test("Pool with overload: if nobody is served, the wait of the first caller counts for the interval that is over", async () => {
  using simulation = new Simulation(1);
  const { clock } = simulation;
  const overload = { target: 10, interval: 100 };
  const pool = new Pool(() => ({}), { maxSize: 1, clock, overload });
  const lease = await pool.acquire(); // at once: nothing stands in the first interval
  await simulation.run(50);
  const refused = assertRejects(() => pool.acquire(), PoolOverloadedError, "after 150 ms");
  await simulation.run(160);
  await refused;
  lease.release();
  const closed = pool.close();
  await simulation.run(0);
  await closed;
});

Deno.test("Pool with overload: callers of a high priority are served, in order of arrival within a priority", async () => {
  const priorityOf = (caller: number) => caller % 4 === 0 ? 1 : 0;
  const { waits, overloaded } = await play({
    load: 2,
    options: { overload: OVERLOAD },
    priorityOf,
  });
  const high = waits.filter(({ priority }) => priority === 1);
  assertGreaterOrEqual(high.length, CAPACITY / 2 - 1, "all of them");
  assertLess(Math.max(...high.map(({ waited }) => waited)), REQUEST + 1);
  assertGreater(overloaded.length, 0);
  for (const equals of [high, waits.filter(({ priority }) => priority === 0)]) {
    const order = equals.map(({ came }) => came);
    assertEquals(order, order.toSorted((a, b) => a - b));
  }
});

Deno.test("Pool with overload: the error says for how long the caller waited, and how the pool stood", async () => {
  const { overloaded: [error] } = await play({
    load: 2,
    options: { overload: OVERLOAD, name: "db" },
  });
  assert(error !== undefined);
  assertGreater(error.waited, 2 * TARGET - 1);
  assertEquals(error.pool.name, "db");
  assertEquals(error.stats.leased, MAX_SIZE);
  assert(error.message.includes(`refused after ${Math.round(error.waited)} ms`), error.message);
  assert(error.message.includes("leased 10, idle 0"), error.message);
});

Deno.test("KeyedPool with overload: an empty key remembers an overload for two intervals, and is dropped then", async () => {
  using simulation = new Simulation(1);
  const { clock } = simulation;
  let opened = 0;
  const connectorOf = () => {
    opened++;
    return () => ({});
  };
  const options = { maxSize: 1, overload: OVERLOAD, acquireTimeout: DEADLINE, clock };
  const pool = new KeyedPool<string, object>(connectorOf, options);
  const holder = await pool.acquire("busy");
  const refused = pool.acquire("rare").catch((error) => error);
  await simulation.run(2 * OVERLOAD.interval);
  assert(await refused instanceof PoolOverloadedError);
  // The first interval of an overload passes before anybody is refused, but it has passed.
  const again = pool.acquire("rare").catch((error) => error);
  await simulation.run(OVERLOAD.interval);
  assert(await again instanceof PoolOverloadedError);
  assertEquals(opened, 2);
  await simulation.run(5 * OVERLOAD.interval);
  const later = pool.acquire("rare").catch((error) => error);
  assertEquals(opened, 3);
  holder.release();
  const [lease] = await Promise.all([later, simulation.run(TARGET)]);
  lease.release();
  const closed = pool.close();
  await simulation.run(0);
  await closed;
  assertEquals(simulation.pending, 0, "no timer is left");
});

Deno.test("Pool with overload: nobody is refused during a pause that begins in an overload", async () => {
  using simulation = new Simulation(1);
  const { clock } = simulation;
  const pool = new Pool(() => ({}), { maxSize: 1, overload: OVERLOAD, clock });
  const holder = await pool.acquire();
  const refused = pool.acquire().catch((error) => error);
  await simulation.run(3 * OVERLOAD.interval);
  assert(await refused instanceof PoolOverloadedError);
  const patient = pool.acquire();
  pool.pause();
  await simulation.run(5 * OVERLOAD.interval);
  assertEquals([pool.stats.waiting, pool.stats.acquires.shed], [1, 1]);
  pool.resume();
  holder.release();
  (await patient).release();
  const closed = pool.close();
  await simulation.run(0);
  await closed;
});

Deno.test("an interval in which callers were only refused counts as overload", async () => {
  using simulation = new Simulation(1);
  const pool = new Pool(() => ({}), {
    maxSize: 1,
    overload: { target: 5, interval: 100 },
    clock: simulation.clock,
  });
  const lease = await pool.acquire();
  const first = assertRejects(() => pool.acquire(), PoolOverloadedError);
  await simulation.run(200); // the first interval has served a caller; at the end of the next one it is refused
  await first;
  await simulation.run(110);
  const second = assertRejects(() => pool.acquire(), PoolOverloadedError);
  await simulation.run(20);
  lease.release();
  await second;
  await pool.close();
});
