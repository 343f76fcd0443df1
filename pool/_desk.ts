import { Broker } from "./_broker.ts";
import type { CallerKind, Request } from "./_caller.ts";
import { type Capacity, OwnCapacity } from "./_capacity.ts";
import { limitOf } from "./_line.ts";
import { Shutdown } from "./_shutdown.ts";
import type { Connector } from "./connector.ts";
import { PoolClosedError } from "./errors.ts";
import type { Lease } from "./lease.ts";
import {
  type AcquireOptions,
  checkAcquireOptions,
  type CloseOptions,
  type ResolvedPoolOptions,
} from "./options.ts";
import type { PoolStats } from "./stats.ts";

/** Where callers come: it makes of what they ask for what the broker understands. */
export class Desk<T, L extends Lease<T>> {
  readonly #connector: Connector<T, L>;
  readonly #options: ResolvedPoolOptions;
  readonly #broker: Broker<T, L>;
  readonly #shutdown: Shutdown<T, L>;
  /** What one asks for who asks for nothing in particular. */
  readonly #usual: Request;

  constructor(
    connector: Connector<T, L>,
    options: ResolvedPoolOptions,
    capacity: Capacity = new OwnCapacity(options.maxSize),
  ) {
    this.#connector = connector;
    this.#options = options;
    this.#usual = this.#request("any", options.acquireTimeout, undefined);
    this.#broker = new Broker(connector, options, capacity);
    this.#shutdown = new Shutdown(this.#broker, options.clock);
  }

  get isOpen(): boolean {
    return this.#broker.isOpen;
  }

  get stats(): PoolStats {
    return this.#broker.monitor.stats;
  }

  acquire(options: AcquireOptions | undefined): Promise<L> {
    try {
      if (options !== undefined) return this.#acquireWith(options);
      const lease = this.#broker.lendIdle();
      if (lease !== undefined) return Promise.resolve(lease);
      return this.#broker.enqueue(this.#usual);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  tryAcquire(): L | undefined {
    if (!this.isOpen) throw new PoolClosedError();
    return this.#broker.tryLendIdle();
  }

  /** Whether the resource was lent before, and failed this time before it gave anything back. */
  isStale(lease: L, error: unknown): boolean {
    if (lease.ended || !lease.reused) return false;
    try {
      return this.#connector.isStale?.(lease.value, error) ?? false;
    } catch {
      return false; // it is the borrower's own error that has to be known
    }
  }

  /** Whether an error of the borrower has spoilt the resource. */
  isFatal(lease: L, error: unknown): boolean {
    try {
      return this.#connector.isFatal?.(error, lease.value) ?? true;
    } catch {
      return true;
    }
  }

  warm(count: number): Promise<number> {
    return this.#broker.warm(count);
  }

  resize(maxSize: number): void {
    this.#broker.resize(maxSize);
  }

  clear(reason: unknown): void {
    this.#broker.clear(reason);
  }

  close(options: CloseOptions): Promise<void> {
    this.#shutdown.begin();
    this.#shutdown.hasten(options);
    return this.#shutdown.done;
  }

  #acquireWith(options: AcquireOptions): Promise<L> {
    checkAcquireOptions(options);
    const { signal, timeout = this.#options.acquireTimeout, fresh = false } = options;
    signal?.throwIfAborted();
    const lease = fresh ? undefined : this.#broker.lendIdle();
    if (lease !== undefined) return Promise.resolve(lease);
    signal?.throwIfAborted();
    return this.#broker.enqueue(this.#request(fresh ? "fresh" : "any", timeout, signal));
  }

  #request(kind: CallerKind, timeout: number, signal: AbortSignal | undefined): Request {
    const queues = timeout > 0;
    const isPlain = kind === "any" && queues && signal === undefined &&
      timeout === this.#options.acquireTimeout;
    return { kind, signal, queues, isPlain, timeout: limitOf(timeout, this.#options) };
  }
}
