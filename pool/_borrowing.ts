import type { Lease } from "./lease.ts";
import type { AcquireOptions, UseOptions } from "./options.ts";

/** What `use` does it with. */
export interface Lender<L> {
  acquire(options: AcquireOptions): Promise<L>;
  /** Whether the lease's resource, used before, failed before it gave anything back. */
  isStale(lease: L, error: unknown): boolean;
  /** Whether the error has spoilt the lease's resource. */
  isFatal(lease: L, error: unknown): boolean;
}

/** Lends a resource for the time of a function: a throw closes it, for nobody can know what state it is in. */
export async function borrow<L extends Lease<unknown>, R>(
  lender: Lender<L>,
  body: (lease: L) => R | PromiseLike<R>,
  options: UseOptions,
): Promise<R> {
  const { retryStale = false, ...acquireOptions } = options;
  const lease = await lender.acquire(acquireOptions);
  try {
    const result = await body(lease);
    lease.release();
    return result;
  } catch (error) {
    const wasStale = retryStale && lender.isStale(lease, error);
    if (!lease.ended && !lender.isFatal(lease, error)) {
      lease.release();
      throw error;
    }
    if (!lease.ended) lease.discard(error);
    if (!wasStale) throw error;
  }
  return await borrow(lender, body, { ...acquireOptions, fresh: true });
}
