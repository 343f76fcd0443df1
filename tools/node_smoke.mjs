// What tools/node_check.ts has Node run: that the pool works there at all.
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";

const mod = pathToFileURL(process.argv[2]);
const { Pool, Semaphore } = await import(mod.href);

const semaphore = new Semaphore(1);
const permit = await semaphore.acquire();
assert.equal(semaphore.tryAcquire(), undefined);
const next = semaphore.acquire();
permit.release();
(await next).release();
assert.equal(semaphore.available, 1);

const closed = [];
const pool = new Pool({
  connect: () => ({ name: "resource" }),
  close: (resource) => void closed.push(resource),
}, { maxSize: 1 });

const lease = await pool.acquire();
const resource = lease.value;
const waiter = pool.acquire();
lease.release();
const again = await waiter;
assert.equal(again.value, resource);
assert.equal(again.reused, true);
again.release();

await assert.rejects(pool.acquire({ signal: AbortSignal.abort("no") }), /no/);
assert.equal(await pool.use(({ value }) => value.name), "resource");
await pool.close();
assert.deepEqual(closed, [resource]);

console.log(`node ${process.version}: Semaphore and Pool work`);
