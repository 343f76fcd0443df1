/**
 * An engine within the process.
 *
 * @module
 */

import { emptyLedger, exchange, type Ledger, statusOf } from "./_ledger.ts";
import type { ClusterStatus, Engine, ExchangeReply, ExchangeRequest } from "./engine.ts";

/** Options of {@linkcode memoryEngine}. */
export interface MemoryEngineOptions {
  /**
   * The engine's clock, in milliseconds.
   *
   * @default {performance.timeOrigin + performance.now()}
   */
  now?: (() => number) | undefined;
}

/**
 * An engine in memory: for tests, and for programs that run as one process
 * today. Semaphores over the same engine share their permits.
 *
 * @param options The clock.
 * @returns The engine.
 *
 * @example
 * ```ts
 * import { ClusterSemaphore, memoryEngine } from "@x/sockpool/cluster";
 *
 * const engine = memoryEngine();
 * await using semaphore = new ClusterSemaphore({ engine, key: "api", permits: 3 });
 * using permit = await semaphore.acquire();
 * console.log(permit.token);
 * ```
 */
export function memoryEngine(options: MemoryEngineOptions = {}): Engine {
  return new MemoryEngine(options.now ?? (() => performance.timeOrigin + performance.now()));
}

class MemoryEngine implements Engine {
  readonly place = "memory";
  readonly #now: () => number;
  readonly #ledgers = new Map<string, Ledger>();
  /** Sessions that have been woken since their last exchange. */
  readonly #woken = new Set<string>();
  readonly #sleepers = new Map<string, () => void>();

  constructor(now: () => number) {
    this.#now = now;
  }

  // deno-lint-ignore require-await -- what it throws must reject
  async exchange(key: string, request: ExchangeRequest): Promise<ExchangeReply> {
    const { reply, woken } = exchange(this.#ledger(key), request, this.#now());
    this.#woken.delete(`${key} ${request.session}`);
    for (const session of woken) {
      this.#woken.add(`${key} ${session}`);
      this.#sleepers.get(`${key} ${session}`)?.();
    }
    return reply;
  }

  async wake(key: string, session: string, { signal }: { signal: AbortSignal }): Promise<void> {
    const name = `${key} ${session}`;
    if (signal.aborted || this.#woken.has(name)) return;
    await new Promise<void>((resolve) => {
      this.#sleepers.set(name, resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    this.#sleepers.delete(name);
  }

  // deno-lint-ignore require-await -- what it throws must reject
  async status(key: string): Promise<ClusterStatus> {
    return statusOf(this.#ledger(key), this.#now());
  }

  #ledger(key: string): Ledger {
    let ledger = this.#ledgers.get(key);
    if (ledger === undefined) this.#ledgers.set(key, ledger = emptyLedger(this.#now()));
    return ledger;
  }
}
