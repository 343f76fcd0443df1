import { Pool } from "../../mod.ts";
import type { Role } from "./_bench.ts";
import { Fifo } from "./_fifo.ts";
import type { Borrowing } from "./_loops.ts";
import { createPool, LightningPool, TarnPool } from "./_npm.ts";

/** One of the pools that are compared. */
export interface Rival extends Borrowing<unknown> {
  readonly name: string;
  readonly role: Role;
  /** Borrows one right now, if there is one. */
  tryAcquire?(): unknown;
  readonly isSlow?: boolean;
  close(): unknown;
}

/** How a resource is opened and closed. */
export interface Trade<R> {
  open(): R | Promise<R>;
  close(resource: R): void;
}

/** Makes pools of so many resources, all else being as each has it by default. */
export function rivals(size: number): Rival[] {
  return [sockpool, bare, generic, lightning, tarn].map((make) => make(trivial(), size));
}

/** Something that costs nothing to open. */
export function trivial(): Trade<{ id: number }> {
  let opened = 0;
  return { open: () => ({ id: opened++ }), close: () => {} };
}

export function sockpool<R>({ open, close }: Trade<R>, maxSize: number): Rival {
  const pool = new Pool({ connect: open, close }, { maxSize });
  return {
    name: "sockpool",
    role: "ours",
    acquire: () => pool.acquire(),
    acquireWith: (signal) => pool.acquire({ signal }),
    tryAcquire: () => pool.tryAcquire(),
    release: (lease) => (lease as Disposable)[Symbol.dispose](),
    use: (body) => pool.use(body),
    close: () => pool.close(),
  };
}

export function bare<R>({ open }: Trade<R>, size: number): Rival {
  const fifo = new Fifo<unknown>(Array.from({ length: size }, () => open()));
  return {
    name: "bare FIFO",
    role: "floor",
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
    name: "generic-pool",
    role: "peer",
    acquire: () => pool.acquire(),
    acquireWith: (signal) => abortable(pool.acquire(), signal, release),
    release,
    use: (body) => pool.use(body),
    close: () => pool.drain().then(() => pool.clear()),
  };
}

export function lightning<R>({ open, close }: Trade<R>, max: number): Rival {
  // By default it refuses the thousand-and-first who waits.
  const pool = new LightningPool({ create: open, destroy: close }, { max, maxQueue: 1e9 });
  const release = (resource: unknown) => pool.release(resource as R);
  return {
    name: "lightning-pool",
    role: "peer",
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
    name: "tarn",
    role: "peer",
    isSlow: true,
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

/** What users put around a pool that knows no signals. */
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
