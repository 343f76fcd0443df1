/** A process that holds permits and an idle connection, and closes neither. */

import { ClusterSemaphore, limited, redisEngine } from "../../cluster/mod.ts";
import { Pool, tcp } from "../../mod.ts";

const port = Number(Deno.args[0]);
const engine = redisEngine(new Pool(tcp({ port }), { maxSize: 2 }));
const semaphore = new ClusterSemaphore({ engine, key: "k", permits: 2, leaseTime: 600 });
await semaphore.acquire();
const pool = new Pool(limited(tcp({ port }), semaphore));
(await pool.acquire()).release();
// Long enough for the semaphore to wait for a request to give one up.
await new Promise((resolve) => setTimeout(resolve, 500));
console.log(`${semaphore.stats.held} held, ${pool.stats.idle} idle`);
