/**
 * What borrowers do. All contenders of a process share this module, so that its call
 * sites have seen them all, as those of a large program have; in a case that ends in
 * "alone" they have seen one.
 *
 * @module
 */

/** A pool, independent of the names of its methods. */
export interface Borrowing<R> {
  acquire(): Promise<R>;
  acquireWith(signal: AbortSignal): Promise<R>;
  release(resource: R): unknown;
  use(body: (resource: R) => Promise<unknown>): Promise<unknown>;
}

const done = Promise.resolve();

/** One borrower, repeatedly. */
export async function sequential<R>(pool: Borrowing<R>, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const resource = await pool.acquire();
    pool.release(resource);
  }
}

/** The same, with `use`. */
export async function uses<R>(pool: Borrowing<R>, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await pool.use(() => done);
}

/** The same, with a signal. */
export async function signalled<R>(
  pool: Borrowing<R>,
  count: number,
  signalOf: () => AbortSignal,
): Promise<void> {
  for (let i = 0; i < count; i++) {
    const resource = await pool.acquireWith(signalOf());
    pool.release(resource);
  }
}

/** The same, without a promise. */
export function tries<R>(
  pool: { tryAcquire(): R | undefined; release(resource: R): unknown },
  count: number,
): void {
  for (let i = 0; i < count; i++) {
    const resource = pool.tryAcquire()!;
    pool.release(resource);
  }
}

/** Several at once, repeatedly, each keeping the resource during an await. */
export async function tasks<R>(pool: Borrowing<R>, count: number, turns: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, async () => {
    for (let i = 0; i < turns; i++) {
      const resource = await pool.acquire();
      await undefined;
      pool.release(resource);
    }
  }));
}

/** Many at once, once each. */
export async function crowd<R>(pool: Borrowing<R>, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, async () => {
    const resource = await pool.acquire();
    pool.release(resource);
  }));
}

/** The same, with a signal. */
export async function signalledCrowd<R>(
  pool: Borrowing<R>,
  count: number,
  signalOf: () => AbortSignal,
): Promise<void> {
  await Promise.all(Array.from({ length: count }, async () => {
    const resource = await pool.acquireWith(signalOf());
    pool.release(resource);
  }));
}
