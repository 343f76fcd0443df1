import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  ClusterPermitLostError,
  ClusterSemaphore,
  limited,
  memoryEngine,
  permitOf,
} from "../../cluster/mod.ts";
import type { Connector } from "../../pool/connector.ts";
import { Driver } from "./_driver.ts";
import { RemoteEngine, settle, VirtualTime } from "./_virtual.ts";

const LEASE_TIME = 3_000;

interface Thing {
  readonly owner: string;
  closed: boolean;
}

/** Processes with a pool each, whose resources are counted. */
class Scene implements Disposable {
  readonly time = new VirtualTime();
  readonly #engine = memoryEngine({ now: this.time.engineNow });
  readonly #permits: number;
  readonly semaphores: ClusterSemaphore[] = [];
  readonly drivers: Driver<Thing>[] = [];
  open = 0;
  most = 0;
  /** How long it takes to close a thing. */
  closeTime = 0;

  constructor(permits: number) {
    this.#permits = permits;
  }

  process(owner: string, options?: { minIdle: number }) {
    const engine = new RemoteEngine(this.#engine);
    const semaphore = new ClusterSemaphore({
      engine,
      key: "db",
      permits: this.#permits,
      leaseTime: LEASE_TIME,
      clock: this.time.clock(),
    });
    const connector: Connector<Thing> = {
      connect: () => {
        this.most = Math.max(this.most, ++this.open);
        return { owner, closed: false };
      },
    };
    const close = (thing: Thing) => {
      thing.closed = true;
      const closed = () => {
        this.open--;
      };
      if (this.closeTime === 0) return closed();
      return new Promise<void>((resolve) => setTimeout(resolve, this.closeTime)).then(closed);
    };
    const driver = new Driver<Thing>(limited(connector, semaphore), close, options);
    this.semaphores.push(semaphore);
    this.drivers.push(driver);
    return { engine, semaphore, driver };
  }

  async end(): Promise<void> {
    await Promise.all(this.drivers.map((driver) => driver.close()));
    const closed = Promise.all(this.semaphores.map((semaphore) => semaphore.close()));
    await this.time.pass(LEASE_TIME);
    await closed;
    assertEquals(this.open, 0);
    assert(this.most <= this.#permits, `${this.most} were open at once`);
    assertEquals((await this.#engine.status("db")).sessions, 0);
    assertEquals(this.time.pending, 0);
  }

  [Symbol.dispose](): void {
    this.time[Symbol.dispose]();
  }
}

Deno.test("limited(): a permit is taken for each resource, and given back when it is closed", async () => {
  using scene = new Scene(2);
  const { driver, semaphore } = scene.process("a");
  const first = await driver.acquire();
  await driver.acquire();
  assertEquals(semaphore.stats.held, 2);
  let third: unknown;
  driver.acquire().then((slot) => third = slot);
  await settle();
  assertEquals(third, undefined);
  assertEquals(permitOf(first.resource)?.valid, true);
  first.permit?.release();
  scene.open--;
  driver.slots.delete(first);
  await settle();
  assert(third !== undefined);
  assertEquals(permitOf(first.resource)?.valid, false);
  await scene.end();
});

Deno.test("limited(): for a caller that waits elsewhere, one process gives up one idle resource", async () => {
  using scene = new Scene(4);
  const holders = [scene.process("a"), scene.process("b")];
  for (const { driver } of holders) {
    const slots = [await driver.acquire(), await driver.acquire()];
    for (const slot of slots) driver.release(slot);
  }
  const { driver } = scene.process("c");
  const slot = await driver.acquire();
  await scene.time.pass(2 * LEASE_TIME);
  assertEquals(holders.map(({ driver }) => driver.idle).toSorted(), [1, 2]);
  assertEquals(scene.open, 4);
  // The next one is asked of the other process.
  const next = await driver.acquire();
  await settle();
  assertEquals(holders.map(({ driver }) => driver.idle), [1, 1]);
  driver.release(slot);
  driver.release(next);
  await scene.end();
});

Deno.test("limited(): no second resource is given up while the first is slow to close", async () => {
  using scene = new Scene(3);
  const { driver, semaphore } = scene.process("a");
  const slots = [await driver.acquire(), await driver.acquire(), await driver.acquire()];
  for (const slot of slots) driver.release(slot);
  scene.closeTime = 2 * LEASE_TIME;
  const other = scene.process("b");
  let got: unknown;
  other.driver.acquire().then((slot) => got = slot);
  await scene.time.pass(2 * LEASE_TIME - 1);
  assertEquals([driver.idle, semaphore.stats.held, got], [2, 3, undefined]);
  await scene.time.pass(2);
  assertEquals(driver.idle, 2);
  assert(got !== undefined);
  scene.closeTime = 0;
  await scene.end();
});

Deno.test("limited(): a resource that was closed while idle is not given up again", async () => {
  using scene = new Scene(2);
  const { driver } = scene.process("a");
  const slots = [await driver.acquire(), await driver.acquire()];
  for (const slot of slots) driver.release(slot);
  driver.expire();
  const other = scene.process("b");
  await other.driver.acquire();
  assertEquals(driver.idle, 1);
  await other.driver.acquire();
  assertEquals(driver.idle, 0);
  await scene.end();
});

Deno.test("limited(): a leased resource is given up for a caller elsewhere as soon as it is idle", async () => {
  using scene = new Scene(2);
  const holder = scene.process("a");
  const slots = [await holder.driver.acquire(), await holder.driver.acquire()];
  const { driver } = scene.process("b");
  let got: unknown;
  driver.acquire().then((slot) => got = slot);
  await scene.time.pass(LEASE_TIME);
  assertEquals(got, undefined);
  for (const slot of slots) holder.driver.release(slot);
  await settle();
  assert(got !== undefined);
  assertEquals(holder.driver.idle, 1);
  assertEquals(holder.driver.retired.map(String), [
    "Error: It was given up for somebody who waits for a permit elsewhere",
  ]);
  await scene.end();
});

Deno.test("limited(): a process that cannot give up a resource passes the request on", async () => {
  using scene = new Scene(2);
  const busy = scene.process("busy");
  await busy.driver.acquire();
  const free = scene.process("free");
  free.driver.release(await free.driver.acquire());
  const { driver } = scene.process("waits");
  const slot = await driver.acquire();
  assertEquals(slot.resource.owner, "waits");
  assertEquals([busy.driver.slots.size, free.driver.slots.size], [1, 0]);
  await scene.end();
});

Deno.test("limited(): minIdle takes back a given-up permit only when no caller waits", async () => {
  using scene = new Scene(2);
  const holder = scene.process("a", { minIdle: 2 });
  const slots = [await holder.driver.acquire(), await holder.driver.acquire()];
  for (const slot of slots) holder.driver.release(slot);
  const { driver } = scene.process("b");
  const slot = await driver.acquire();
  await scene.time.pass(LEASE_TIME / 2);
  assertEquals([holder.driver.idle, slot.state], [1, "leased"]);
  assertEquals(holder.semaphore.stats.waiting, 0);
  await driver.close();
  await scene.time.pass(LEASE_TIME);
  assertEquals(holder.driver.idle, 2);
  await scene.end();
});

Deno.test("limited(): a resource opened in the background gets a permit only when no caller waits", async () => {
  using scene = new Scene(1);
  const a = scene.process("a");
  const b = scene.process("b");
  const connector = limited({ connect: () => ({}) }, a.semaphore) as unknown as {
    admit(context: object): Promise<Disposable>;
  };
  const slot = await b.driver.acquire();
  const { signal } = new AbortController();
  let admitted: Disposable | undefined;
  connector.admit({ signal, background: true }).then((permit) => admitted = permit);
  await scene.time.pass(3 * LEASE_TIME);
  assertEquals((await b.semaphore.status()).waiting, 0);
  assertEquals(admitted, undefined);
  b.driver.release(slot);
  await b.driver.close();
  await scene.time.pass(LEASE_TIME);
  assert(admitted !== undefined);
  admitted[Symbol.dispose]();
  const controller = new AbortController();
  const held = await b.semaphore.acquire();
  const aborted = connector.admit({ signal: controller.signal, background: true });
  const refused = assertRejects(() => aborted, Error, "enough");
  await scene.time.pass(1);
  controller.abort(new Error("enough"));
  await scene.time.pass(0);
  await refused;
  held.release();
  await settle();
  await scene.end();
});

Deno.test("limited(): a lost permit closes its resource, even if it is leased", async () => {
  using scene = new Scene(2);
  const { driver, engine } = scene.process("a");
  const leased = await driver.acquire();
  driver.release(await driver.acquire());
  engine.way = "cut";
  await scene.time.pass(LEASE_TIME);
  assertEquals(driver.slots.size, 0);
  assert(leased.resource.closed);
  assert(driver.retired.every((reason) => reason instanceof ClusterPermitLostError));
  assertEquals(driver.retired.length, 2);
  engine.way = "fine";
  await scene.time.pass(LEASE_TIME);
  await scene.end();
});

Deno.test("limited(): a detached resource keeps its permit", async () => {
  using scene = new Scene(1);
  const { driver, semaphore } = scene.process("a");
  const thing = driver.detach(await driver.acquire());
  await driver.close();
  await scene.time.pass(2 * LEASE_TIME);
  assertEquals(semaphore.stats.held, 1);
  const permit = permitOf(thing);
  assert(permit?.valid);
  scene.open--;
  permit.release();
  await settle();
  assertEquals((await semaphore.status()).held, 0);
  await scene.end();
});

Deno.test("limited(): a caller that waits for a permit is rejected by the close of its pool", async () => {
  using scene = new Scene(1);
  const a = scene.process("a");
  const b = scene.process("b");
  await a.driver.acquire();
  const waits = b.driver.acquire();
  await settle();
  const refused = assertRejects(() => waits, Error, "the driver is closed");
  await b.driver.close();
  await refused;
  assertEquals((await a.semaphore.status()).waiting, 0);
  await scene.end();
});

Deno.test("limited(): it keeps the other members of the connector, and its admit() too", async () => {
  using scene = new Scene(1);
  const { semaphore } = scene.process("a");
  const asked: string[] = [];
  class Base {
    readonly #secret = "kept";
    isBroken(): boolean {
      return this.#secret !== "kept";
    }
  }
  class Own extends Base {
    readonly place = "tcp://10.0.0.5:6379";
    connect() {
      return {};
    }
    admit() {
      asked.push("admit");
      return { release: () => asked.push("release"), [Symbol.dispose]() {} };
    }
    watch() {
      asked.push("watch");
    }
  }
  const connector = limited(new Own() as unknown as Connector<object>, semaphore) as unknown as {
    place: string;
    isBroken(): boolean;
    admit(context: object): Promise<{ release(): void }>;
    watch(resource: object, context: object): void;
  };
  assertEquals([connector.place, connector.isBroken()], ["tcp://10.0.0.5:6379", false]);
  const permit = await connector.admit({ signal: new AbortController().signal });
  connector.watch({}, { wanted: true, lost() {} });
  assertEquals(semaphore.stats.held, 1);
  permit.release();
  permit.release();
  assertEquals(asked, ["admit", "watch", "release"]);
  assertEquals(semaphore.stats.held, 0);
  await settle();
  await scene.end();
});

Deno.test("limited(): connect() without admit() rejects, and an invalid semaphore is refused", async () => {
  using scene = new Scene(1);
  const { semaphore } = scene.process("a");
  const connector = limited({ connect: () => ({}) }, semaphore);
  const { signal } = new AbortController();
  await assertRejects(
    async () => await connector.connect({ signal, retire() {} }),
    Error,
    "without a permit",
  );
  assertThrows(
    () => limited({} as Connector<object>, semaphore),
    TypeError,
    "'connector' must have a connect() method",
  );
  assertThrows(
    () => limited({ connect: () => ({}) }, {} as ClusterSemaphore),
    TypeError,
    "'semaphore' must be a ClusterSemaphore: received Object",
  );
  await scene.end();
});
