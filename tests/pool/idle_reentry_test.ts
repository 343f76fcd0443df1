import { assertEquals } from "@std/assert";
import { type Connector, Pool, type WatchContext } from "../../pool/mod.ts";
import { microtasks, Outcome } from "../support/scene.ts";

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
