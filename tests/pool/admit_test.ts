import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { type Connector, type Permit, Pool, PoolClosedError } from "../../pool/mod.ts";
import { KeyedPool } from "../../pool/keyed_pool.ts";
import { microtasks, Outcome } from "../support/scene.ts";
import { Simulation } from "../support/simulation.ts";

/** A connector whose `admit()` is answered by hand; records its permits. */
class Gate implements Connector<{ closes: number }> {
  readonly waiting: ((isGranted: boolean) => void)[] = [];
  granted = 0;
  released = 0;
  dials = 0;
  isDown = false;
  /** Thrown when a permit is given back. */
  error: Error | undefined;

  admit(): Promise<Permit> {
    const release = () => {
      this.released++;
      if (this.error !== undefined) throw this.error;
    };
    return new Promise((resolve, reject) => {
      this.waiting.push((isGranted) => {
        if (!isGranted) return reject(new Error("no leave"));
        this.granted++;
        resolve({ release, [Symbol.dispose]: release });
      });
    });
  }

  connect(): { closes: number } {
    this.dials++;
    if (this.isDown) throw new Error("down");
    return { closes: 0 };
  }

  close(thing: { closes: number }): void {
    thing.closes++;
  }

  async grant(): Promise<void> {
    this.waiting.shift()!(true);
    await microtasks();
  }
}

Deno.test("a dial that waits for admission goes to the next caller when the first gives up", async () => {
  const gate = new Gate();
  await using pool = new Pool(gate, { maxSize: 1 });
  const controller = new AbortController();
  const first = new Outcome(pool.acquire({ signal: controller.signal }));
  const second = new Outcome(pool.acquire());
  controller.abort(new Error("enough"));
  await microtasks();
  assertEquals([first.state, pool.stats.connecting, gate.waiting.length], ["rejected", 1, 1]);
  await gate.grant();
  assertEquals([second.state, gate.dials], ["fulfilled", 1]);
  second.value!.release();
});

Deno.test("a dial that waits for admission and is no longer needed makes room for another key", async () => {
  const gates = { a: new Gate(), b: new Gate() };
  await using pool = new KeyedPool((key: "a" | "b") => gates[key], { maxSize: 1 });
  const controller = new AbortController();
  const first = new Outcome(pool.acquire("a", { signal: controller.signal }));
  const other = new Outcome(pool.acquire("b"));
  controller.abort(new Error("enough"));
  await microtasks();
  assertEquals([first.state, gates.b.waiting.length], ["rejected", 1]);
  await gates.b.grant();
  assertEquals(other.state, "fulfilled");
  await gates.a.grant();
  assertEquals(
    [gates.a.dials, gates.a.released],
    [0, 1],
    "a permit that comes too late is given back",
  );
  other.value!.release();
});

for (const kind of ["Pool", "KeyedPool"]) {
  Deno.test(`${kind}: when a dial that waits for admission is given up, a listener of its signal may call the pool`, async () => {
    let calls = 0;
    const admit = ({ signal }: { signal: AbortSignal }) =>
      new Promise<Permit>((_, reject) => {
        signal.addEventListener("abort", () => {
          calls++;
          pool.resize(2);
          hosts.resize(2);
          assertEquals(one.stats?.connecting ?? 0, 0, "it is given up already");
          reject(signal.reason);
        });
      });
    const connector = { connect: () => ({}), admit };
    await using pool = new Pool(connector);
    await using hosts = new KeyedPool((_: string) => connector);
    const one = kind === "Pool" ? pool : hosts.at("a");
    const controller = new AbortController();
    const first = new Outcome(one.acquire({ signal: controller.signal }));
    await microtasks();
    controller.abort(new Error("enough"));
    await microtasks();
    assertEquals([first.state, calls, one.stats?.connecting ?? 0], ["rejected", 1, 0]);
  });
}

Deno.test("a resource that is detached takes its permit along", async () => {
  const gate = new Gate();
  await using pool = new Pool(gate);
  const caller = new Outcome(pool.acquire());
  await gate.grant();
  const thing = caller.value!.detach();
  await microtasks();
  assertEquals([pool.stats.size, thing.closes, gate.released], [0, 0, 0]);
});

for (const isRetryable of [true, false]) {
  const title = isRetryable ? "a failure that may pass" : "a failure that can't be mended";
  Deno.test(`after ${title} a probe that is given up while it waits for leave holds up no later one`, async () => {
    using simulation = new Simulation(1);
    const gate = new Gate();
    const retry = { attempts: 2, minDelay: 100 };
    const connector = Object.assign(gate, { isRetryable: () => isRetryable });
    const pool = new Pool(connector, { retry, clock: simulation.clock });
    gate.isDown = true;
    const first = new Outcome(pool.acquire({ timeout: 10 }));
    await gate.grant();
    await simulation.run(100);
    assertEquals([first.state, gate.dials], ["rejected", 1]);
    const controller = new AbortController();
    const second = new Outcome(pool.acquire({ signal: controller.signal }));
    await simulation.run(0);
    controller.abort();
    await simulation.run(0);
    assertEquals([second.state, gate.waiting.splice(0).length, gate.dials], ["rejected", 1, 1]);
    gate.isDown = false;
    const third = new Outcome(pool.acquire());
    await simulation.run(0);
    await gate.grant();
    assertEquals(third.state, "fulfilled");
    third.value!.release();
    const closed = pool.close();
    await simulation.run(0);
    await closed;
  });
}

Deno.test("a dial that is admitted after the pool was closed does not begin", async () => {
  const gate = new Gate();
  const pool = new Pool(gate, { maxSize: 1 });
  const caller = new Outcome(pool.acquire());
  const closed = pool.close();
  await gate.grant();
  await closed;
  assertInstanceOf(caller.error, PoolClosedError);
  assertEquals([gate.dials, gate.granted, gate.released], [0, 1, 1]);
});

Deno.test("a dial for minIdle that is given leave when the pool is closed does not begin either", async () => {
  const gate = new Gate();
  const pool = new Pool(gate, { minIdle: 1 });
  await microtasks();
  const closed = pool.close();
  await gate.grant();
  await closed;
  assertEquals([gate.dials, gate.granted, gate.released], [0, 1, 1]);
});

Deno.test("leave that is no permit fails the dial with an error that says so", async () => {
  for (const permit of [undefined, null, 1, {}, { release: true }]) {
    const connector = { connect: () => ({}), admit: () => permit as unknown as Permit };
    await using pool = new Pool<object>(connector);
    await assertRejects(() => pool.acquire(), TypeError, "admit() must give a permit: received");
    assertEquals(pool.stats.size, 0);
  }
});

Deno.test("a permit whose release() throws is reported, even if the permit came too late", async () => {
  for (const isLate of [false, true]) {
    const gate = new Gate();
    gate.error = new Error("no way back");
    const errors: unknown[] = [];
    const pool = new Pool(gate, {
      maxSize: 1,
      hooks: { onError: ({ error, source }) => errors.push(source, error) },
    });
    const controller = new AbortController();
    const caller = new Outcome(pool.acquire({ signal: controller.signal }));
    if (isLate) controller.abort();
    await gate.grant();
    caller.value?.discard();
    await pool.close();
    assertEquals(errors, ["admit", gate.error]);
  }
});

Deno.test("a permit whose release() is asynchronous and rejects is reported", async () => {
  const error = new Error("no way back");
  const errors: unknown[] = [];
  const connector = {
    connect: () => ({ close: () => {} }),
    admit: () => ({ release: () => Promise.reject(error), [Symbol.dispose]: () => {} }),
  };
  const hooks = { onError: (event: { error: unknown }) => errors.push(event.error) };
  const pool = new Pool(connector, { hooks });
  (await pool.acquire()).discard();
  await pool.close();
  // By now the runtime would have reported an unhandled rejection.
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(errors, [error]);
});
