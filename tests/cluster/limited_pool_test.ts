import { assert, assertEquals, assertRejects } from "@std/assert";
import { delay } from "@std/async";
import {
  ClusterSemaphore,
  type ClusterSemaphoreOptions,
  type Engine,
  limited,
  memoryEngine,
  permitOf,
} from "../../cluster/mod.ts";
import { type Connector, KeyedPool, Pool, type PoolOptions, type Socket, tcp } from "../../mod.ts";

/** A server, and pools that share its connections as if in several processes. */
class Scene implements AsyncDisposable {
  readonly engine: Engine = memoryEngine();
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #serving: Promise<void>;
  readonly #permits: number;
  readonly semaphores: ClusterSemaphore[] = [];
  readonly #pools: { close(): Promise<void> }[] = [];
  open = 0;
  most = 0;

  constructor(permits: number) {
    this.#permits = permits;
    this.#serving = this.#serve();
  }

  semaphore(options: Partial<ClusterSemaphoreOptions> = {}): ClusterSemaphore {
    const { engine } = this;
    const all = { engine, key: "db", permits: this.#permits, leaseTime: 3_000, ...options };
    const semaphore = new ClusterSemaphore(all);
    this.semaphores.push(semaphore);
    return semaphore;
  }

  /** A limited connector whose sockets are counted from the dial to the close. */
  connector(semaphore: ClusterSemaphore) {
    const inner = tcp({ port: this.#listener.addr.port });
    const counted: typeof inner = {
      ...inner,
      connect: async (context) => {
        this.most = Math.max(this.most, ++this.open);
        return await inner.connect(context);
      },
      close: (socket) => {
        this.open--;
        socket.close();
      },
    };
    return limited(counted, semaphore);
  }

  pool(options?: PoolOptions<Socket<Deno.NetAddr>>, semaphore = this.semaphore()) {
    const pool = new Pool(this.connector(semaphore), options);
    this.#pools.push(pool);
    return pool;
  }

  keyed(semaphore = this.semaphore()) {
    const pool = new KeyedPool((_key: string) => this.connector(semaphore));
    this.#pools.push(pool);
    return pool;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#pools.map((pool) => pool.close()));
    await Promise.all(this.semaphores.map((semaphore) => semaphore.close()));
    this.#listener.close();
    await this.#serving;
    assertEquals(this.open, 0);
    assert(this.most <= this.#permits, `${this.most} were open at once`);
  }

  async #serve(): Promise<void> {
    const serving: Promise<void>[] = [];
    for await (const conn of this.#listener) serving.push(echo(conn));
    await Promise.all(serving);
  }
}

async function echo(conn: Deno.Conn): Promise<void> {
  try {
    await conn.readable.pipeTo(conn.writable);
  } catch {
    // the client has closed it
  }
}

type Lease = { writeAll(text: string): Promise<void>; readExactly(n: number): Promise<unknown> };

async function roundTrip(conn: Lease): Promise<void> {
  await conn.writeAll("ping");
  await conn.readExactly(4);
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!await condition()) await delay(5);
}

Deno.test("Pools under one limit never have more connections than permits, and serve all callers", async () => {
  await using scene = new Scene(3);
  const pools = [scene.pool(), scene.pool(), scene.pool()];
  const calls = pools.flatMap((pool) =>
    Array.from({ length: 40 }, () => pool.use((conn) => roundTrip(conn)))
  );
  await Promise.all(calls);
  assertEquals(scene.most, 3);
  assert(pools.every(({ stats }) => stats.dials.failed === 0));
});

Deno.test("A wait for a permit is no failed dial and does not count in connectTimeout", async () => {
  await using scene = new Scene(1);
  const holder = scene.pool();
  const held = await holder.acquire();
  const pool = scene.pool({ connectTimeout: 50 });
  const waits = pool.acquire();
  await delay(200);
  assertEquals([pool.stats.waiting, pool.stats.dials.failed], [1, 0]);
  held.close();
  using conn = await waits;
  await roundTrip(conn);
  assertEquals(pool.stats.dials.failed, 0);
});

Deno.test("One idle connection is given up for a caller that waits elsewhere", async () => {
  await using scene = new Scene(3);
  const holder = scene.pool();
  await Promise.all([1, 2, 3].map(() => holder.use((conn) => roundTrip(conn))));
  await holder.warm(3);
  assertEquals(holder.stats.idle, 3);
  using conn = await scene.pool().acquire();
  await roundTrip(conn);
  assertEquals([holder.stats.idle, holder.stats.retired.lost], [2, 1]);
});

Deno.test("The permit of a released connection goes to a caller that waits elsewhere", async () => {
  await using scene = new Scene(1);
  const holder = scene.pool();
  const waits = await holder.use(async () => {
    const waits = scene.pool().acquire();
    await until(async () => (await scene.engine.status("db")).waiting === 1);
    return { waits };
  });
  using conn = await waits.waits;
  await roundTrip(conn);
  assertEquals(holder.stats.idle, 0);
});

Deno.test("minIdle does not take back a given-up permit at once", async () => {
  await using scene = new Scene(2);
  const holder = scene.pool({ minIdle: 2 });
  await until(() => holder.stats.idle === 2);
  const pool = scene.pool();
  {
    using conn = await pool.acquire();
    await roundTrip(conn);
    await delay(300);
    assertEquals((await scene.engine.status("db")).waiting, 0);
    assertEquals(holder.stats.idle, 1);
  }
  await pool.close();
  await until(() => holder.stats.idle === 2);
});

Deno.test("A lost permit closes its connections, idle and leased", async () => {
  await using scene = new Scene(2);
  let way: "fine" | "cut" = "fine";
  const { engine } = scene;
  const remote: Engine = {
    exchange: (...args) =>
      way === "cut" ? Promise.reject(new Error("cut off")) : engine.exchange(...args),
    wake: (...args) => engine.wake(...args),
    status: (...args) => engine.status(...args),
  };
  const pool = scene.pool({}, scene.semaphore({ engine: remote, leaseTime: 400 }));
  const conn = await pool.acquire();
  await pool.warm(1);
  assertEquals([pool.stats.leased, pool.stats.idle], [1, 1]);
  const read = conn.read(new Uint8Array(1));
  way = "cut";
  await assertRejects(() => read);
  await until(() => pool.stats.size === 0);
  assertEquals(scene.open, 0);
  way = "fine";
  await pool.use((conn) => roundTrip(conn));
});

Deno.test("A detached connection keeps its permit", async () => {
  await using scene = new Scene(1);
  const pool = scene.pool();
  const socket = (await pool.acquire()).detach();
  const waits = pool.acquire();
  await until(async () => (await scene.engine.status("db")).waiting === 1);
  await roundTrip(socket);
  assertEquals(permitOf(socket)?.valid, true);
  socket.close();
  scene.open--;
  permitOf(socket)!.release();
  using conn = await waits;
  await roundTrip(conn);
});

Deno.test("A caller that is aborted while it waits for a permit leaves the queue", async () => {
  await using scene = new Scene(1);
  const held = await scene.pool().acquire();
  const pool = scene.pool();
  const controller = new AbortController();
  const call = pool.acquire({ signal: controller.signal });
  await until(async () => (await scene.engine.status("db")).waiting === 1);
  controller.abort(new Error("enough"));
  await assertRejects(() => call, Error, "enough");
  await until(async () => (await scene.engine.status("db")).waiting === 0);
  held.release();
});

Deno.test("Keys of a KeyedPool share the permits with other processes, and give up resources to each other", async () => {
  await using scene = new Scene(2);
  const keyed = scene.keyed();
  const pool = scene.pool();
  await Promise.all([
    ...["a", "b", "c", "d"].map((key) => keyed.use(key, (conn) => roundTrip(conn))),
    ...[1, 2, 3, 4].map(() => pool.use((conn) => roundTrip(conn))),
  ]);
  assertEquals(scene.most, 2);
});

Deno.test("A plain connector is limited as well", async () => {
  await using scene = new Scene(2);
  let open = 0;
  let most = 0;
  const connector: Connector<{ id: number }> = {
    connect: () => {
      most = Math.max(most, ++open);
      return { id: open };
    },
    close: () => {
      open--;
    },
  };
  const pools = [1, 2].map(() => new Pool(limited(connector, scene.semaphore())));
  await Promise.all(pools.flatMap((pool) => [1, 2, 3, 4].map(() => pool.use(() => delay(2)))));
  await Promise.all(pools.map((pool) => pool.close()));
  assertEquals([most, open], [2, 0]);
});

for (const callers of [0, 6]) {
  Deno.test(`recycle() of a pool that holds all permits, with ${callers} callers, replaces its connections`, async () => {
    await using scene = new Scene(3);
    const pool = scene.pool({ maxSize: 5 }, scene.semaphore({ leaseTime: 1_000 }));
    await pool.warm(3);
    let isOver = false;
    const calls = Array.from({ length: callers }, async () => {
      while (!isOver) await pool.use(() => delay(1));
    });
    await pool.recycle();
    isOver = true;
    await Promise.all(calls);
    const { recycled, lost } = pool.stats.retired; // an idle one may be given up for a caller
    assert(recycled + lost >= 3, `${recycled} recycled, ${lost} lost`);
    assertEquals(scene.most, 3);
  });
}
