// Guards against rare orders of events. Each test fails without its guard.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Connector, KeyedPool, Pool, PoolClosedError } from "../../mod.ts";
import { microtasks, Scene } from "../support/scene.ts";
import { ScriptedConnector } from "../support/scripted_connector.ts";
import { sameTurn, until } from "../support/until.ts";

class Thing {
  closes = 0;
}

/** A connector that records its resources. */
class Things implements Connector<Thing> {
  readonly opened: Thing[] = [];

  connect(): Thing {
    const thing = new Thing();
    this.opened.push(thing);
    return thing;
  }

  close(thing: Thing): void {
    thing.closes++;
  }
}

/** Blocks the event loop. */
function block(milliseconds: number): void {
  for (const start = performance.now(); performance.now() - start < milliseconds;);
}

Deno.test("resources kept for minIdle are replaced after a sleep of more than twice idleTimeout", async () => {
  const connector = new Things();
  const idleTimeout = 100;
  await using pool = new Pool(connector, { minIdle: 1, idleTimeout });
  await until(() => pool.stats.idle === 1);
  const [first] = connector.opened.slice(-1);
  block(3 * idleTimeout); // a long block looks like sleep
  await until(() => first!.closes === 1, { within: 20 * idleTimeout });
  await until(() => pool.stats.idle === 1);
});

Deno.test("the first use of a resource resets the delay for replacing unused ones", async () => {
  const RETRY = { attempts: 1, minDelay: 100, maxDelay: 6_400 };
  const connector: ScriptedConnector & { isBroken?: () => boolean } = new ScriptedConnector({}, [
    "check",
    "reset",
  ]);
  let isBroken = false;
  connector.isBroken = () => isBroken;
  using scene = new Scene(connector, { minIdle: 1, retry: RETRY, acquireTimeout: Infinity });
  /** Breaks the idle resource; returns how long its replacement takes. */
  const replace = async () => {
    isBroken = true;
    assertEquals(scene.pool.tryAcquire(), undefined);
    isBroken = false;
    let delay = 0;
    for (await microtasks(); scene.pool.stats.idle === 0; delay += 10) {
      assert(delay < 10_000, `not replaced: ${scene.pool}`);
      await scene.elapse(10);
    }
    return delay;
  };
  await microtasks();
  let longest = 0;
  for (let i = 0; i < 6; i++) longest = Math.max(longest, await replace());

  (await scene.take()).release();
  await replace();
  const delay = await replace();
  assert(4 * delay < longest, `${longest} ms before one was used, ${delay} ms after`);
  await scene.end();
});

const called = ["isBroken", "reset", "check", "watch", "probe", "unwatch"] as const;

for (const method of called) {
  Deno.test(`a waiter aborted from within ${method}() costs no slot`, async () => {
    const controller = new AbortController();
    const { signal } = controller;
    let isArmed = false;
    const connector = new Things();
    const answers = { isBroken: false, check: true };
    (connector as Connector<Thing>)[method] = (() => {
      if (isArmed) controller.abort("enough");
      return answers[method as "check"];
    }) as never;
    if (method === "probe" || method === "unwatch") {
      (connector as Connector<Thing>).watch = () => {};
    }
    await using pool = new Pool(connector, { maxSize: 1, checkAfter: 0 });
    const held = await pool.acquire();
    const waiter = pool.acquire({ signal }).then((lease) => lease.release(), () => {});
    isArmed = true;
    held.release();
    await sameTurn();
    controller.abort("enough"); // if the method was not called for a waiter
    await waiter;
    await sameTurn();
    assertEquals([pool.stats.leased, pool.stats.idle, pool.stats.waiting], [0, 1, 0]);
    isArmed = false;
    using lease = await pool.acquire({ timeout: 1_000 });
    assertEquals(lease.value, connector.opened[0]!);
  });
}

for (const stage of ["check", "reset"] as const) {
  Deno.test(`the rejection of a ${stage} that close() stops is not reported`, async () => {
    const connector: Connector<Thing> = new Things();
    let isStopped = false;
    connector[stage] = ((_thing: Thing, { signal }: { signal: AbortSignal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          isStopped = true;
          reject(signal.reason);
        }, { once: true });
      })) as never;
    const errors: unknown[] = [];
    const hooks = {
      onError: (told: unknown) =>
        void errors.push(told),
    };
    const pool = new Pool(connector, { hooks, checkAfter: 0 });
    (await pool.acquire()).release();
    const caller = stage === "check"
      ? assertRejects(() => pool.acquire(), PoolClosedError)
      : undefined;
    await sameTurn();
    assertEquals([pool.stats.size, pool.stats.idle], [1, 0], `it is in its ${stage}`);
    await pool.close();
    await caller;
    await sameTurn();
    assertEquals([isStopped, errors], [true, []]);
  });
}

Deno.test("KeyedPool closes no idle resource for callers that wait for a retry while there is room", async () => {
  const RETRY = { attempts: Infinity, minDelay: 5, maxDelay: 5 };
  let dials = 0;
  await using pool = new KeyedPool((key: string) => ({
    connect: () => {
      if (!key.startsWith("down")) return new Thing();
      dials++;
      throw new Error("refused");
    },
  }), { maxSize: 2, retry: RETRY });
  (await pool.acquire("up")).release();
  const callers = ["down 1", "down 2"].map((key) =>
    assertRejects(() => pool.acquire(key), PoolClosedError)
  );
  await until(() => dials >= 10);
  using lease = pool.tryAcquire("up");
  assertEquals(lease?.reused, true);
  lease?.release();
  await pool.close();
  await Promise.all(callers);
});
