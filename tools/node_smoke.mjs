// Run by tools/node_check.ts under Node: a smoke test of the pools.
import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { channel } from "node:diagnostics_channel";
import { pathToFileURL } from "node:url";

const [
  { Pool, Semaphore },
  { TaskDeadlockError, TaskPool, TaskTimeoutError },
  { instrument },
] = await Promise.all(
  process.argv.slice(2).map((path) => import(pathToFileURL(path).href)),
);

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

// A meter that sums counters and reads gauges at a collection, like that of an SDK.
const totals = {};
const add = (name) => (value, labels) => {
  const series = [name, ...Object.values(labels)].join();
  totals[series] = (totals[series] ?? 0) + value;
};
const collections = [];
const observable = (name) => ({ name });
const meter = {
  createCounter: (name) => ({ add: add(name) }),
  createHistogram: (name) => ({ record: (_, labels) => add(name)(1, labels) }),
  createObservableGauge: observable,
  createObservableUpDownCounter: observable,
  addBatchObservableCallback: (callback) => collections.push(callback),
  removeBatchObservableCallback: (callback) => collections.splice(collections.indexOf(callback), 1),
};
const published = [];
const listener = (message) => published.push(message);
channel("sockpool:acquire").subscribe(listener);
const measured = new Pool({ connect: () => ({}) }, { name: "measured" });
const instrumented = instrument(measured, { meter });
await measured.use(() => {});
collections[0]({ observe: ({ name }, value, labels) => add(name)(value, labels) });
assert.equal(totals["db.client.connection.wait_time,measured"], 1);
assert.equal(totals["db.client.connection.count,measured,idle"], 1);
assert.equal(published[0].pool, "measured");
instrumented[Symbol.dispose]();
assert.deepEqual(collections, []);
await measured.close();
channel("sockpool:acquire").unsubscribe(listener);

const delay = (time) => new Promise((resolve) => setTimeout(resolve, time));
const tasks = new TaskPool({ size: 2, nested: "throw" });
let running = 0;
const square = async (n) => {
  assert(++running <= 2);
  await delay(1);
  running--;
  return n * n;
};
assert.deepEqual(await tasks.map([1, 2, 3], square), [1, 4, 9]);
assert.deepEqual(await Promise.all([1, 2, 3].map((n) => tasks.run(() => square(n)))), [1, 4, 9]);
const seen = [];
for await (const n of tasks.stream([1, 2, 3], square, { order: "completion" })) seen.push(n);
assert.deepEqual(seen.sort(), [1, 4, 9]);

const storage = new AsyncLocalStorage();
const contexts = [1, 2, 3, 4].map((n) => storage.run(n, () => tasks.run(() => storage.getStore())));
assert.deepEqual(await Promise.all(contexts), [1, 2, 3, 4]);
const full = new TaskPool({ size: 1, nested: "throw" });
await assert.rejects(full.run(() => delay(1).then(() => full.run(() => 1))), TaskDeadlockError);
await assert.rejects(full.run(() => full.join()), TaskDeadlockError);
const late = full.submit(({ signal }) => {
  return new Promise((resolve) => signal.addEventListener("abort", resolve));
}, { timeout: 5 });
await assert.rejects(late.result, TaskTimeoutError);
await full[Symbol.asyncDispose]();

const runtime = process.versions.bun ? `bun ${process.versions.bun}` : `node ${process.version}`;
console.log(`${runtime}: Semaphore, Pool, TaskPool and telemetry work`);
