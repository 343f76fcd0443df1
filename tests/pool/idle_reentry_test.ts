import { assertEquals, assertRejects } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  type CloseOptions,
  type Connector,
  KeyedPool,
  type KeyedPoolOptions,
  Pool,
  PoolClosedError,
  type PoolOptions,
  type WatchContext,
} from "../../pool/mod.ts";
import { clockOf } from "../support/clocks.ts";
import { microtasks, Outcome } from "../support/scene.ts";
import { TimerSpy } from "../support/spies.ts";

interface Thing {
  readonly id: number;
  closes: number;
}

/** A connector method finds its idle resource lost, and calls `lost()` from within. */
class Losing implements Connector<Thing> {
  readonly things: Thing[] = [];
  isArmed = false;
  #lost: WatchContext["lost"] = () => {};

  connect(): Thing {
    const thing = { id: this.things.length, closes: 0 };
    this.things.push(thing);
    return thing;
  }

  close(thing: Thing): void {
    thing.closes++;
  }

  watch(_: Thing, { lost }: WatchContext): void {
    this.#lost = lost;
  }

  lose(): void {
    if (!this.isArmed) return;
    this.isArmed = false;
    this.#lost("hung up");
  }
}

const ASKED: Record<string, (connector: Losing) => void> = {
  probe: (connector) => {
    (connector as Connector<Thing>).probe = () => void connector.lose();
  },
  isBroken: (connector) => {
    (connector as Connector<Thing>).isBroken = () => {
      connector.lose();
      return false;
    };
  },
};

for (const [method, make] of Object.entries(ASKED)) {
  Deno.test(`a resource that is lost from within ${method}() is not lent`, async () => {
    const connector = new Losing();
    make(connector);
    const pool = new Pool(connector, { maxSize: 1 });
    (await pool.acquire()).release();
    connector.isArmed = true;
    assertEquals(pool.tryAcquire(), undefined);
    assertEquals([connector.things[0]!.closes, pool.stats.size], [1, 0]);

    (await pool.acquire()).release();
    connector.isArmed = true;
    const lease = await pool.acquire();
    assertEquals([lease.value.id, connector.things[1]!.closes], [2, 1]);

    const waiter = new Outcome(pool.acquire());
    connector.isArmed = true;
    lease.release();
    await microtasks();
    assertEquals(waiter.value?.value.closes, 0);
    assertEquals([pool.stats.leased, pool.stats.size], [1, 1]);
    waiter.value!.release();
    await pool.close();
    assertEquals(connector.things.map(({ closes }) => closes), connector.things.map(() => 1));
  });
}

/** Both kinds of pool, with room for several resources. */
const pools = {
  Pool: (connector: Connector<Thing>, options: PoolOptions) => {
    const pool = new Pool(connector, { maxSize: 3, ...options });
    return { pool, acquire: () => pool.acquire(), close: (how?: CloseOptions) => pool.close(how) };
  },
  KeyedPool: (connector: Connector<Thing>, options: PoolOptions) => {
    const given = { maxSize: 3, ...options } as KeyedPoolOptions<string>;
    const pool = new KeyedPool((_key: string) => connector, given);
    const { acquire } = pool.at("a");
    return { pool, acquire, close: (how?: CloseOptions) => pool.close(how) };
  },
};

for (const [title, poolOf] of Object.entries(pools)) {
  Deno.test(`${title}: a waiter whose resource is lost from within isBroken() is dialled for once`, async () => {
    const connector = new Losing();
    ASKED.isBroken!(connector);
    const { pool, acquire, close } = poolOf(connector, {});
    (await acquire()).release();
    pool.pause();
    const waiting = acquire();
    connector.isArmed = true;
    pool.resume();
    const lease = await waiting;
    assertEquals([connector.things.length, pool.stats.size], [2, 1]);
    lease.release();
    await close();
  });

  Deno.test(`${title}: a resource that is lost from within isBroken() when a check is due is not checked`, async () => {
    using time = new FakeTime();
    const connector = Object.assign(new Losing(), { check: () => true });
    ASKED.isBroken!(connector);
    const { pool, acquire, close } = poolOf(connector, {
      keepalive: 100,
      idleTimeout: Infinity,
      clock: clockOf(() => time.now),
    });
    (await acquire()).release();
    connector.isArmed = true;
    time.tick(100);
    assertEquals([connector.things[0]!.closes, pool.stats.size], [1, 0]);
    await close();
  });

  Deno.test(`${title}: an acquire during which isBroken() closes the pool rejects, and leaves no timer`, async () => {
    using timers = new TimerSpy();
    const connector = new Losing();
    let closing: Promise<void> | undefined;
    const isBroken = (): boolean => {
      if (connector.isArmed) closing = close();
      return false;
    };
    const { acquire, close } = poolOf(Object.assign(connector, { isBroken }), {});
    (await acquire()).release();
    connector.isArmed = true;
    const rejected = assertRejects(acquire, PoolClosedError);
    await closing;
    assertEquals(timers.pending, 0);
    await rejected;
  });

  for (const [method, reset] of [["a release", undefined], ["a reset", () => {}]] as const) {
    Deno.test(`${title}: a resource whose isBroken() closes the pool after ${method} is closed with it`, async () => {
      const connector = new Losing();
      let closing: Promise<void> | undefined;
      const isBroken = (): boolean => {
        if (connector.isArmed) closing = close({ timeout: Infinity });
        return connector.isArmed = false;
      };
      const methods = { isBroken, ...(reset !== undefined && { reset }) };
      const { acquire, close } = poolOf(Object.assign(connector, methods), {});
      const lease = await acquire();
      connector.isArmed = true;
      lease.release();
      await closing;
      assertEquals(connector.things.map(({ closes }) => closes), [1]);
    });

    Deno.test(`${title}: a resource that is retired from within isBroken() after ${method} is not lent again`, async () => {
      const connector = new Losing();
      const retires: (() => void)[] = [];
      const { acquire, close } = poolOf({
        connect: ({ retire }) => {
          retires.push(() => retire("gone", { now: true }));
          return connector.connect();
        },
        close: (thing) => connector.close(thing),
        isBroken: () => {
          retires.shift()?.();
          return false;
        },
        ...(reset !== undefined && { reset }),
      }, {});
      (await acquire()).release();
      const lease = await acquire();
      assertEquals(connector.things.map(({ closes }) => closes), [1, 0]);
      lease.release();
      await close();
      assertEquals(connector.things.map(({ closes }) => closes), [1, 1]);
    });
  }

  Deno.test(`${title}: a forced close from within isRetryable() closes leased resources too`, async () => {
    const connector = new Losing();
    const { things } = connector;
    const dialling = Promise.withResolvers<Thing>();
    let dials = 0;
    let closing: Promise<void> | undefined;
    const { pool, acquire, close } = poolOf({
      connect: () => dials++ === 0 ? dialling.promise : connector.connect(),
      close: (thing) => connector.close(thing),
      isRetryable: () => {
        closing = close({ force: true });
        return true;
      },
    }, {});
    const served = acquire(); // by the second dial, behind the first in the pool's order
    const failing = assertRejects(acquire);
    await served;
    dialling.reject(new Error("down"));
    await failing;
    await closing;
    assertEquals([things[0]!.closes, pool.stats.size], [1, 0]);
  });
}
