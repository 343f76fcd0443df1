import type { Contender } from "./_bench.ts";
import { type ClusterPermit, ClusterSemaphore, type Engine } from "../../cluster/mod.ts";

/** How many are acquired one after the other before all are released, which is not timed. */
const BATCH = 10;

/** Uncontended acquires; only these are timed. */
export function uncontended(engine: Engine): Omit<Contender, "name" | "role"> {
  const semaphore = new ClusterSemaphore({
    engine,
    key: `bench ${crypto.randomUUID()}`,
    permits: 1_000_000,
    leaseTime: 60_000,
  });
  return {
    async measure({ sampleTime }) {
      let elapsed = 0;
      let count = 0;
      while (elapsed < sampleTime) {
        const permits: ClusterPermit[] = [];
        const began = performance.now();
        for (let i = 0; i < BATCH; i++) permits.push(await semaphore.acquire());
        elapsed += performance.now() - began;
        count += BATCH;
        for (const permit of permits) permit.release();
        while ((await semaphore.status()).held > 0);
      }
      return elapsed * 1e6 / count;
    },
    close: () => semaphore.close(),
  };
}
