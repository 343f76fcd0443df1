import { KeyedPool, type Lease, Pool } from "../../mod.ts";
import type { Contestant } from "./_alone.ts";
import { Fifo } from "./_fifo.ts";
import type { Borrowing } from "./_loops.ts";
import { createPool, LightningPool, TarnPool } from "./_npm.ts";

/** One of the pools that are compared. */
export interface Rival extends Borrowing<unknown> {
  /** The pool itself. */
  readonly pool: unknown;
  /** Borrows a resource if one is idle. */
  tryAcquire?(): unknown;
  close(): unknown;
}

/** Opens and closes a resource. */
export interface Trade<R> {
  open(): R | Promise<R>;
  close(resource: R): void;
}

/** A pool by its name, and how one of so many resources is made. */
export interface Kind extends Contestant {
  make(size: number): Rival | Promise<Rival>;
}

/** Pools that are made alike, all else being as each has it by default. */
export const KINDS: readonly Kind[] = [
  { name: "sockpool", role: "ours", make: (size) => sockpool(trivial(), size) },
  { name: "bare FIFO", role: "floor", make: (size) => bare(trivial(), size) },
  { name: "generic-pool", role: "peer", make: (size) => generic(trivial(), size) },
  { name: "lightning-pool", role: "peer", make: (size) => lightning(trivial(), size) },
  { name: "tarn", role: "peer", isExtra: true, make: (size) => tarn(trivial(), size) },
];

// What the hot key has beside it.
const IDLE_KEYS = 10_000;

const IN_GOALS = ["isBroken", "onAcquire hook", "one key"];

/** Our pools that are asked for more, or by key. */
export const VARIANTS: readonly Kind[] = [
  variant("isBroken", (size) => {
    const { open, close } = trivial();
    const connector = { connect: open, close, isBroken: () => false };
    return lending(new Pool(connector, { maxSize: size }));
  }),
  variant("onAcquire hook", (size) => {
    const hooks = { onAcquire() {} };
    return lending(new Pool(trivial().open, { maxSize: size, hooks }));
  }),
  variant("fifo", (size) => {
    return lending(new Pool(trivial().open, { maxSize: size, order: "fifo" }));
  }),
  variant("minIdle", (size) => {
    return lending(new Pool(trivial().open, { maxSize: size, minIdle: 2 }));
  }),
  variant("one key", (size) => {
    const pool = new KeyedPool((_: number) => trivial().open, { maxSize: size, maxPerKey: size });
    return lendingKeys(pool, () => 0);
  }),
  variant("ten keys", (size) => {
    const maxPerKey = Math.ceil(size / 10);
    const pool = new KeyedPool((_: number) => trivial().open, { maxSize: size, maxPerKey });
    let calls = 0;
    return lendingKeys(pool, () => calls++ % 10);
  }),
  variant("hot key", async (size) => {
    const pool = new KeyedPool((_: number) => trivial().open, {
      maxSize: IDLE_KEYS + size,
      maxPerKey: size,
      idleTimeout: Infinity,
    });
    for (let key = 1; key <= IDLE_KEYS; key++) (await pool.acquire(key)).release();
    return lendingKeys(pool, () => 0);
  }),
];

function variant(name: string, make: Kind["make"]): Kind {
  return { name, role: "ours", isExtra: !IN_GOALS.includes(name), make };
}

/** A resource that costs nothing to open. */
export function trivial(): Trade<{ id: number }> {
  let opened = 0;
  return { open: () => ({ id: opened++ }), close: () => {} };
}

export function sockpool<R>({ open, close }: Trade<R>, maxSize: number): Rival {
  return lending(new Pool({ connect: open, close }, { maxSize }));
}

/** A pool of ours, as the loops take it. */
export function lending<T, L extends Lease<T>>(pool: Pool<T, L>): Rival {
  return {
    pool,
    acquire: () => pool.acquire(),
    acquireWith: (signal) => pool.acquire({ signal }),
    tryAcquire: () => pool.tryAcquire(),
    release: (lease) => (lease as L).release(),
    use: (body) => pool.use(body),
    close: () => pool.close(),
  };
}

/** The same with keys. */
function lendingKeys<T>(pool: KeyedPool<number, T>, key: () => number): Rival {
  return {
    pool,
    acquire: () => pool.acquire(key()),
    acquireWith: (signal) => pool.acquire(key(), { signal }),
    tryAcquire: () => pool.tryAcquire(key()),
    release: (lease) => (lease as Lease<T>).release(),
    use: (body) => pool.use(key(), body),
    close: () => pool.close(),
  };
}

export function bare<R>({ open }: Trade<R>, size: number): Rival {
  return queueing(Array.from({ length: size }, () => open()));
}

/** A bare queue of promises over these resources. */
export function queueing(resources: unknown[]): Rival {
  const fifo = new Fifo<unknown>(resources);
  return {
    pool: fifo,
    acquire: () => fifo.acquire(),
    acquireWith: (signal) => fifo.acquireWith(signal),
    tryAcquire: () => fifo.tryAcquire(),
    release: (resource) => fifo.release(resource),
    async use(body) {
      const resource = await fifo.acquire();
      try {
        return await body(resource);
      } finally {
        fifo.release(resource);
      }
    },
    close: () => {},
  };
}

export function generic<R>({ open, close }: Trade<R>, max: number): Rival {
  const factory = {
    create: () => Promise.resolve(open()),
    destroy: (resource: R) => Promise.resolve(close(resource)),
  };
  const pool = createPool(factory, { max });
  const release = (resource: unknown) => pool.release(resource as R);
  return {
    pool,
    acquire: () => pool.acquire(),
    acquireWith: (signal) => abortable(pool.acquire(), signal, release),
    release,
    use: (body) => pool.use(body),
    close: () => pool.drain().then(() => pool.clear()),
  };
}

export function lightning<R>({ open, close }: Trade<R>, max: number): Rival {
  // By default it refuses more than a thousand waiters.
  const pool = new LightningPool({ create: open, destroy: close }, { max, maxQueue: 1e9 });
  const release = (resource: unknown) => pool.release(resource as R);
  return {
    pool,
    acquire: () => pool.acquire(),
    acquireWith: (signal) => abortable(pool.acquire(), signal, release),
    release,
    async use(body) {
      const resource = await pool.acquire();
      try {
        return await body(resource);
      } finally {
        pool.release(resource);
      }
    },
    close: () => pool.closeAsync(),
  };
}

export function tarn<R>({ open, close }: Trade<R>, max: number): Rival {
  const pool = new TarnPool({ create: open, destroy: close, min: 0, max });
  const release = (resource: unknown) => pool.release(resource as R);
  return {
    pool,
    acquire: () => pool.acquire().promise,
    acquireWith: (signal) => abortable(pool.acquire().promise, signal, release),
    release,
    async use(body) {
      const resource = await pool.acquire().promise;
      try {
        return await body(resource);
      } finally {
        pool.release(resource);
      }
    },
    close: () => pool.destroy(),
  };
}

/** A wrapper that adds signals to a pool without them. */
function abortable<R>(
  acquiring: Promise<R>,
  signal: AbortSignal,
  giveBack: (resource: R) => unknown,
): Promise<R> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      reject(signal.reason);
      acquiring.then(giveBack, () => {});
    };
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    acquiring.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
