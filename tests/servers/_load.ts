/** Callers that put a pool under load, and what must hold afterwards. */

import { assertEquals, assertLessOrEqual } from "@std/assert";
import { delay } from "@std/async";
import type { Lease, Pool } from "@x/sockpool";
import { descriptors, until } from "./_process.ts";

/**
 * Callers that each make one request after the other. Each request has a tag, and its reply must
 * be that tag. Disposing of them ends the load.
 */
export class Callers implements AsyncDisposable {
  /** The number of right replies of each caller. */
  readonly replies: number[];
  /** The errors of failed requests. */
  readonly errors: unknown[] = [];
  /** Requests that got the reply of another. */
  readonly wrong: string[] = [];
  /** The number of requests in flight. */
  inFlight = 0;
  readonly #running: Promise<unknown>;
  #isOver = false;

  constructor(count: number, readonly call: (tag: string) => Promise<unknown>) {
    this.replies = new Array<number>(count).fill(0);
    this.#running = Promise.all(this.replies.map((_, caller) => this.#run(caller)));
  }

  /** The number of right replies. */
  get total(): number {
    return this.replies.reduce((sum, count) => sum + count, 0);
  }

  /** Waits until each caller has `count` more replies. */
  async served(times = 1): Promise<void> {
    const before = [...this.replies];
    await until(
      () => this.replies.every((count, caller) => count >= before[caller]! + times),
      () => `all callers are served; the last errors are ${this.errors.slice(-3)}`,
    );
  }

  /** Waits until there are `count` more replies. */
  async servedInAll(count: number): Promise<void> {
    const goal = this.total + count;
    await until(() => this.total >= goal, `${count} more requests are served`);
  }

  /** Ends the load; resolves when the last request has ended. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #run(caller: number): Promise<void> {
    for (let n = 0; !this.#isOver; n++) {
      await this.#request(caller, `request ${n} of caller ${caller}`);
      await delay(1);
    }
  }

  async #request(caller: number, tag: string): Promise<void> {
    this.inFlight++;
    try {
      const reply = await this.call(tag);
      if (reply === tag) this.replies[caller]!++;
      else this.wrong.push(`${tag}: ${reply}`);
    } catch (error) {
      this.errors.push(error);
    } finally {
      this.inFlight--;
    }
  }
}

/** Counts descriptors, and asserts on disposal that there are no more than before. */
export function descriptorsStayFlat(): AsyncDisposable {
  const before = descriptors();
  return {
    [Symbol.asyncDispose]: () =>
      until(() => descriptors() <= before, `${before} descriptors are open`),
  };
}

/**
 * Asserts that an unused pool is at rest, that its counters are right, and that every slot can be
 * leased.
 *
 * @param count The number of its connections that the server counts.
 */
export async function assertSound<T, L extends Lease<T>>(
  pool: Pool<T, L>,
  count: () => Promise<number>,
): Promise<void> {
  await until(() => {
    const { size, idle, waiting } = pool.stats;
    return size === idle && waiting === 0;
  }, `${pool} is at rest`);
  // The server may count abandoned connections for a moment longer.
  await until(async () => await count() === pool.stats.idle, `the server counts as ${pool} does`);
  const { maxSize } = pool.stats;
  const leases = await Promise.all(Array.from({ length: maxSize }, () => pool.acquire()));
  assertEquals([pool.stats.leased, pool.stats.size], [maxSize, maxSize]);
  await until(async () => await count() === maxSize, `the server counts ${maxSize}`);
  for (const lease of leases) lease.release();
  await until(() => pool.stats.idle === maxSize, "every slot is idle again");
}

/** Asserts that no request got the reply of another, and that at most `errors` failed. */
export function assertCalls(callers: Callers, { errors }: { errors: number }): void {
  assertEquals(callers.wrong, [], "no request has another's reply");
  assertLessOrEqual(callers.errors.length, errors, `errors: ${callers.errors.slice(0, 5)}`);
}

/** The errors of failed requests, for messages. */
export function reasons(outcomes: readonly PromiseSettledResult<unknown>[]): string {
  return outcomes.map((each) => each.status === "rejected" ? `${each.reason}` : "ok").join(", ");
}

/** Prints the counts of a test if PROOF is set; docs/proof.md is made from them. */
export function figures(counted: Record<string, number>): void {
  if (Deno.env.get("PROOF")) console.log(counted);
}
