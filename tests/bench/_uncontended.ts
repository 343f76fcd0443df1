import { type Contender, timed } from "./_bench.ts";
import { Stopwatch } from "./_cpu_time.ts";
import { type ClusterPermit, ClusterSemaphore, type Engine } from "../../cluster/mod.ts";

/** How many are acquired one after the other before all are released, which is not timed. */
const BATCH = 10;

/** Uncontended acquires; only these are timed. */
export function uncontended(engine: Engine): Omit<Contender, "name" | "role"> {
  const semaphore = semaphoreOver(engine);
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

/** Holds one permit after the other, as a program does that has one thing to do at a time. */
export function inTurn(engine: Engine): Omit<Contender, "name" | "role"> {
  const semaphore = semaphoreOver(engine);
  const hold = async () => {
    using _permit = await semaphore.acquire();
  };
  const { measure } = timed("", "ours", 1, hold);
  return { measure, close: () => semaphore.close() };
}

function semaphoreOver(engine: Engine): ClusterSemaphore {
  return new ClusterSemaphore({
    engine,
    key: `bench ${crypto.randomUUID()}`,
    permits: 1_000_000,
    leaseTime: 60_000,
  });
}
