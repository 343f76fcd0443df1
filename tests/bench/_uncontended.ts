import type { Contender } from "./_bench.ts";
import { Stopwatch } from "./_cpu_time.ts";
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
      const watch = new Stopwatch();
      const end = performance.now() + sampleTime;
      let count = 0;
      while (performance.now() < end) {
        const permits: ClusterPermit[] = [];
        watch.start();
        for (let i = 0; i < BATCH; i++) permits.push(await semaphore.acquire());
        watch.stop();
        count += BATCH;
        for (const permit of permits) permit.release();
        while ((await semaphore.status()).held > 0);
      }
      return watch.per(count);
    },
    close: () => semaphore.close(),
  };
}
