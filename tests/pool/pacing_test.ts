/** Final failures, which a retry cannot help: a wrong password, a rejected certificate. */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLessOrEqual,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { KeyedPool, Pool, type RetryOptions } from "../../mod.ts";
import { Outcome } from "../support/scene.ts";
import { Simulation } from "../support/simulation.ts";

const RETRY = { minDelay: 100, maxDelay: 5_000 };

class WrongPassword extends Error {}

/** A server that rejects until it is repaired; each answer takes 5 ms. */
class Server {
  readonly simulation: Simulation;
  readonly dials: number[] = [];
  isMended = false;
  isDown = false;

  constructor(simulation: Simulation) {
    this.simulation = simulation;
  }

  readonly connector = {
    connect: async () => {
      this.dials.push(this.simulation.now);
      await this.simulation.sleep(5);
      if (this.isDown) throw new Error("down");
      if (!this.isMended) throw new WrongPassword("wrong password");
      return {};
    },
    isRetryable: (error: unknown) => !(error instanceof WrongPassword),
  };
}

const CALLERS = 8;

type Borrow = () => Promise<Disposable>;

/** Callers that call again every 10 ms until they are served. Returns their errors, and when they were served. */
function insist(simulation: Simulation, borrow: Borrow) {
  const told: unknown[] = [];
  const servedAt: number[] = [];
  const call = async () => {
    while (simulation.now < 10_000) {
      try {
        using _ = await borrow();
        return void servedAt.push(simulation.now);
      } catch (error) {
        told.push(error);
      }
      await simulation.sleep(10);
    }
  };
  const calls = Promise.all(Array.from({ length: CALLERS }, call));
  return { told, servedAt, calls };
}

async function closeNow(simulation: Simulation, pool: { close(): Promise<void> }): Promise<void> {
  const closed = pool.close();
  await simulation.run(0);
  await closed;
  assertEquals(simulation.pending, 0, "no timer is left");
}

async function assertPaced(simulation: Simulation, server: Server, borrow: Borrow): Promise<void> {
  const { told, servedAt, calls } = insist(simulation, borrow);
  await simulation.run(3_000);
  assertLessOrEqual(server.dials.length, CALLERS + 4);
  assertGreaterOrEqual(server.dials.length, 3, "it is tried again now and then");
  assertGreaterOrEqual(told.length, CALLERS * 100, "callers reject at once");
  assert(told.every((error) => error instanceof WrongPassword), "each with the true reason");
  server.isMended = true;
  const mendedAt = simulation.now;
  await simulation.run(RETRY.maxDelay + 20);
  await calls;
  assertEquals(servedAt.length, CALLERS);
  assertLessOrEqual(Math.min(...servedAt) - mendedAt, RETRY.maxDelay + 5 + 10);
}

const cases: [string, RetryOptions][] = [
  ["a single attempt", RETRY],
  ["three attempts", { attempts: 3, ...RETRY }],
  ["any number of attempts", { attempts: Infinity, ...RETRY }],
];

for (const [title, retry] of cases) {
  Deno.test(`Pool with ${title}: a final failure is paced, and the first success follows soon after the repair`, async () => {
    using simulation = new Simulation(1);
    const server = new Server(simulation);
    const pool = new Pool(server.connector, { retry, clock: simulation.clock });
    await assertPaced(simulation, server, () => pool.acquire());
    await closeNow(simulation, pool);
  });
}

Deno.test("KeyedPool: a final failure of one key is paced, and others are not", async () => {
  using simulation = new Simulation(1);
  const servers = { a: new Server(simulation), b: new Server(simulation) };
  servers.b.isMended = true;
  const hosts = new KeyedPool(
    (key: "a" | "b") => servers[key].connector,
    { retry: RETRY, clock: simulation.clock },
  );
  // Between two calls the key has neither resources nor callers.
  const steady = insist(simulation, () => hosts.acquire("b"));
  await assertPaced(simulation, servers.a, () => hosts.acquire("a"));
  await steady.calls;
  assertLessOrEqual(Math.max(...steady.servedAt), 10);
  await closeNow(simulation, hosts);
});

Deno.test("KeyedPool: a key that nobody uses at the moment when it may be dialled again is still paced", async () => {
  using simulation = new Simulation(1);
  const server = new Server(simulation);
  let connectors = 0;
  const hosts = new KeyedPool((_key: string) => {
    connectors++;
    return server.connector;
  }, { retry: { minDelay: 30, maxDelay: 30 }, clock: simulation.clock });
  const { calls } = insist(simulation, () => hosts.acquire("a"));
  await simulation.run(3_000);
  assertEquals(connectors, 1);
  assertLessOrEqual(server.dials.length, CALLERS + 3_000 / 30);
  server.isMended = true;
  await simulation.run(100);
  await calls;
  await closeNow(simulation, hosts);
});

Deno.test("KeyedPool: a key with a final failure leaves nothing behind once it may be dialled again", async () => {
  using simulation = new Simulation(1);
  const server = new Server(simulation);
  let connectors = 0;
  const hosts = new KeyedPool((_key: number) => {
    connectors++;
    return server.connector;
  }, { maxSize: 1_000, retry: RETRY, clock: simulation.clock });
  const failAll = async () => {
    const keys = Array.from({ length: 100 }, (_, key) => key);
    const calls = keys.map((key) => assertRejects(() => hosts.acquire(key), WrongPassword));
    await simulation.run(10);
    await Promise.all(calls);
    assertEquals(hosts.keys(), []);
    return connectors;
  };
  assertEquals(await failAll(), 100);
  assertEquals(await failAll(), 100, "each is remembered");
  assertEquals(server.dials.length, 100);
  await simulation.run(2 * RETRY.maxDelay);
  assertEquals(simulation.pending, 0, "no timer is left, though nothing else has happened");
  assertEquals(await failAll(), 200);
  await closeNow(simulation, hosts);
});

Deno.test("Pool: simultaneous callers dial once each at first, then one dial probes for all", async () => {
  using simulation = new Simulation(1);
  const server = new Server(simulation);
  const pool = new Pool(server.connector, { retry: RETRY, clock: simulation.clock });
  const burst = async () => {
    const calls = Array.from(
      { length: 5 },
      () => assertRejects(() => pool.acquire(), WrongPassword),
    );
    await simulation.run(6);
    await Promise.all(calls);
    return server.dials.length;
  };
  assertEquals(await burst(), 5);
  assertEquals(await burst(), 5, "paced");
  await simulation.run(RETRY.minDelay);
  assertEquals(await burst(), 6, "one dial probes for all");
  await simulation.run(RETRY.minDelay);
  assertEquals(await burst(), 6, "the delay has doubled");
  await simulation.run(RETRY.minDelay);
  assertEquals(await burst(), 7);
  await closeNow(simulation, pool);
});

Deno.test("Pool: where one finds out for all that the server is down now, all are told so, and the next may dial", async () => {
  using simulation = new Simulation(1);
  const server = new Server(simulation);
  const pool = new Pool(server.connector, { retry: RETRY, clock: simulation.clock });
  const first = new Outcome(pool.acquire());
  await simulation.run(5);
  assert(first.error instanceof WrongPassword);
  server.isDown = true;
  await simulation.run(RETRY.minDelay);
  const calls = Array.from({ length: 5 }, () => new Outcome(pool.acquire()));
  await simulation.run(5);
  assertEquals(calls.map(({ error }) => (error as Error).message), Array(5).fill("down"));
  assertEquals(server.dials.length, 2);
  server.isDown = false;
  server.isMended = true;
  const next = new Outcome(pool.acquire());
  await simulation.run(5);
  assertEquals(next.state, "fulfilled");
  next.value!.release();
  await closeNow(simulation, pool);
});

Deno.test("Pool: callers are told of a final failure while its delay ends, whatever the clock says meanwhile", async () => {
  let time = 0;
  const clock = { now: () => time++, wall: () => time };
  const connect = () => Promise.reject(new WrongPassword());
  const options = { retry: { minDelay: 20, maxDelay: 20 }, clock };
  for (let rest = 0; rest < 20; rest++) {
    const pool = new Pool({ connect, isRetryable: () => false }, options);
    await assertRejects(() => pool.acquire(), WrongPassword);
    time += rest;
    await assertRejects(() => pool.acquire(), WrongPassword);
    await pool.close();
  }
});

const warmed = {
  Pool: (server: Server) =>
    new Pool(server.connector, { retry: RETRY, clock: server.simulation.clock }),
  KeyedPool: (server: Server) => {
    const options = { retry: RETRY, clock: server.simulation.clock };
    const hosts = new KeyedPool((_key: string) => server.connector, options);
    const { acquire, warm } = hosts.at("a");
    return { acquire, warm, close: () => hosts.close() };
  },
};

for (const [title, poolOf] of Object.entries(warmed)) {
  Deno.test(`${title}.warm() rejects with a final failure that is not tried again yet, also when another call finds it out`, async () => {
    using simulation = new Simulation(1);
    const server = new Server(simulation);
    const pool = poolOf(server);
    const caller = new Outcome(pool.acquire());
    await simulation.run(5);
    const paced = new Outcome(pool.warm(2));
    await simulation.run(0);
    assertStrictEquals(paced.error, caller.error);
    await simulation.run(RETRY.minDelay);
    const probe = new Outcome(pool.acquire());
    const beside = new Outcome(pool.warm(2));
    await simulation.run(5);
    assertEquals(server.dials.length, 2);
    assertStrictEquals(beside.error, probe.error);
    server.isMended = true;
    await simulation.run(2 * RETRY.minDelay);
    const warm = new Outcome(pool.warm(2));
    await simulation.run(10);
    assertEquals(warm.value, 2);
    await closeNow(simulation, pool);
  });
}

Deno.test("Pool with minIdle: a final failure is paced by one schedule for callers and the minimum", async () => {
  using simulation = new Simulation(1);
  const server = new Server(simulation);
  const options = { minIdle: 2, retry: RETRY, clock: simulation.clock };
  const pool = new Pool(server.connector, options);
  const { calls } = insist(simulation, () => pool.acquire());
  await simulation.run(3_000);
  assertLessOrEqual(server.dials.length, options.minIdle + CALLERS + 4);
  server.isMended = true;
  await simulation.run(RETRY.maxDelay);
  await calls;
  await closeNow(simulation, pool);
});

Deno.test("Pool with minIdle: close() leaves no timer while a final failure is paced", async () => {
  using simulation = new Simulation(1);
  const server = new Server(simulation);
  const pool = new Pool(server.connector, { minIdle: 1, retry: RETRY, clock: simulation.clock });
  await simulation.run(RETRY.minDelay); // the retry schedule is due, the failure is not
  assertGreaterOrEqual(simulation.pending, 1);
  await closeNow(simulation, pool);
});

Deno.test("Pool with minIdle: the minimum is restored after a final failure without a caller", async () => {
  using simulation = new Simulation(1);
  const server = new Server(simulation);
  const options = { minIdle: 2, retry: RETRY, clock: simulation.clock };
  const pool = new Pool(server.connector, options);
  await simulation.run(20_000);
  assertGreaterOrEqual(server.dials.length, 8);
  assertLessOrEqual(server.dials.length, 2 + 6 + 4, "100 to 3,200 ms, then 5,000");
  server.isMended = true;
  await simulation.run(RETRY.maxDelay + 10);
  assertEquals(pool.stats.idle, 2);
  await closeNow(simulation, pool);
});

Deno.test("Pool: a caller of a full pool, which would not dial, is not told of a final failure", async () => {
  using simulation = new Simulation(1);
  const server = new Server(simulation);
  server.isMended = true;
  const pool = new Pool(server.connector, { maxSize: 2, retry: RETRY, clock: simulation.clock });
  const held = new Outcome(pool.acquire());
  await simulation.run(5);
  server.isMended = false;
  const refused = new Outcome(pool.acquire());
  await simulation.run(5);
  assertEquals([held.state, refused.state], ["fulfilled", "rejected"]);
  const told = new Outcome(pool.acquire());
  await simulation.run(0);
  assertStrictEquals(told.error, refused.error);
  pool.resize(1);
  const patient = new Outcome(pool.acquire());
  await simulation.run(0);
  assertEquals(patient.state, "pending");
  held.value!.release();
  await simulation.run(0);
  assertEquals(patient.state, "fulfilled");
  patient.value!.release();
  await closeNow(simulation, pool);
});
