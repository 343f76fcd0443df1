import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { delay } from "@std/async";
import { FakeTime } from "@std/testing/time";
import { TaskPool } from "../../tasks/mod.ts";
import { held, obeying, REASON } from "../support/held.ts";
import { microtasks, Outcome } from "../support/scene.ts";
import { TimerSpy } from "../support/spies.ts";
import { clockOf, turn } from "./_support.ts";

/** How many were requested, have ended, and have not. */
function counts({ requested, cancelled, ignored }: Awaited<ReturnType<TaskPool["cancel"]>>) {
  return [requested, cancelled, ignored];
}

Deno.test("cancel: a task just submitted never runs, settles, and does not block join()", async () => {
  const pool = new TaskPool(1);
  let ran = false;
  const handle = pool.submit(() => ran = true);
  assert(handle.cancel(REASON));
  assertEquals(handle.state, "cancelled");
  await pool.join();
  assertStrictEquals(await assertRejects(() => handle.result), REASON);
  assertEquals([ran, handle.cancel(), pool.stats.cancelled], [false, false, 1]);
  assertEquals(await pool.run(() => 1), 1);
});

Deno.test("cancel: cancelling the last queued task ends join()", async () => {
  const pool = new TaskPool(1);
  const gate = held();
  pool.submit(gate.task);
  const queued = [pool.submit(() => 1), pool.submit(() => 2), pool.submit(() => 3)];
  const join = new Outcome(pool.join());
  await microtasks();
  queued[2]!.cancel();
  queued[1]!.cancel();
  queued[0]!.cancel();
  assertEquals(pool.stats.queued, 0);
  await microtasks();
  assertEquals(join.state, "pending");
  gate.end();
  await microtasks();
  await turn();
  assertEquals(join.state, "fulfilled");
});

Deno.test("cancel: after a task in the middle of the queue is cancelled, the others run in order", async () => {
  const pool = new TaskPool(1);
  const ran: number[] = [];
  const handles = [0, 1, 2, 3, 4].map((n) => pool.submit(() => ran.push(n)));
  handles[1]!.cancel();
  handles[3]!.cancel();
  await pool.join();
  assertEquals(ran, [0, 2, 4]);
});

Deno.test("cancel: a withdrawn task behind a waiting map does not detach the tasks behind it", async () => {
  const pool = new TaskPool(1);
  const gate = held();
  pool.submit(gate.task);
  const map = pool.map([1, 2], (n) => n);
  const behind = pool.submit(() => 1);
  const last = pool.submit(() => 2);
  await microtasks();
  behind.cancel();
  await microtasks();
  gate.end();
  assertEquals([await map, await last.result], [[1, 2], 2]);
});

Deno.test("cancel: a running task is told by its signal, and keeps its slot until it ends", async () => {
  const pool = new TaskPool(1);
  const gate = held();
  let signal!: AbortSignal;
  const first = pool.submit((context) => (signal = context.signal, gate.task()));
  const second = pool.submit(() => 2);
  await microtasks();
  assert(first.cancel(REASON));
  assertStrictEquals(signal.reason, REASON);
  assertStrictEquals(await assertRejects(() => first.result), REASON);
  assertEquals([first.state, second.state, pool.stats.overdue], ["overdue", "queued", 1]);
  gate.end();
  assertEquals(await second.result, 2);
  assertEquals([first.state, pool.stats.overdue], ["cancelled", 0]);
});

Deno.test("cancel: a signal first read after the abort is already aborted", async () => {
  const pool = new TaskPool(1);
  const gate = held();
  let reason: unknown;
  const handle = pool.submit(async (context) => {
    await gate.task();
    reason = context.signal.reason;
  });
  await microtasks();
  handle.cancel(REASON);
  gate.end();
  await pool.join();
  assertStrictEquals(reason, REASON);
});

Deno.test("cancel: without a reason it is an AbortError; a task that has ended is not affected", async () => {
  const pool = new TaskPool(1);
  const handle = pool.submit(() => 1);
  const other = pool.submit(() => 2);
  assertEquals(await handle.result, 1);
  assertEquals(handle.cancel(), false);
  assertEquals(await other.result, 2);
  const late = pool.submit(() => 3);
  late.cancel();
  const error = await assertRejects(() => late.result, DOMException);
  assertEquals(error.name, "AbortError");
});

Deno.test("cancel: while `after` runs the task counts as running, and its value is dropped", async () => {
  const pool = new TaskPool(1);
  const gate = held<string>();
  const handle = pool.submit(() => 1, { after: gate.task });
  await microtasks();
  assertEquals(handle.state, "running");
  const report = pool.cancel(REASON);
  assertEquals([handle.state, pool.stats.running], ["overdue", 1]);
  assertEquals(counts(await report), [1, 0, 1]);
  gate.end("too late");
  await pool.join();
  assertEquals(await handle.outcome(), { status: "rejected", reason: REASON });
  assertEquals([handle.state, pool.stats.cancelled], ["cancelled", 1]);
});

Deno.test("cancel(): it waits for bodies that obey their signal, and counts those that do not", async () => {
  const pool = new TaskPool(3);
  const deaf = held<number>();
  let cleanedUp = false;
  pool.submit((context) =>
    obeying(context).finally(() => delay(5)).finally(() => cleanedUp = true)
  );
  const ignoring = pool.submit(deaf.task);
  const map = new Outcome(pool.map([1, 2, 3], deaf.task));
  const queued = pool.submit(() => 3);
  await microtasks();
  const report = await pool.cancel(REASON);
  assertEquals(counts(report), [4, 2, 2]);
  assertEquals(report.results, new Array(3).fill({ status: "rejected", reason: REASON }));
  assertEquals([queued.state, ignoring.state, cleanedUp], ["cancelled", "overdue", true]);
  assertEquals([pool.stats.running, pool.stats.overdue], [2, 2]);
  assertEquals(map.error, REASON);
  deaf.end(1);
  await pool.join();
  assertEquals(pool.stats.overdue, 0);
});

Deno.test("cancel(): a body that reads its signal and does not end is given up after 100 ms", async () => {
  using time = new FakeTime();
  const pool = new TaskPool({ size: 1, ...clockOf(time) });
  const gate = held();
  pool.submit(({ signal }) => (signal.throwIfAborted(), gate.task()));
  await microtasks();
  const report = new Outcome(pool.cancel());
  await microtasks();
  time.tick(99);
  await microtasks();
  assertEquals(report.state, "pending");
  time.tick(1);
  await microtasks();
  assertEquals(counts(report.value!), [1, 0, 1]);
  gate.end();
  await pool.join();
});

Deno.test("cancel(): a body that has never read its signal is not waited for", async () => {
  using spy = new TimerSpy();
  const pool = new TaskPool(2);
  const gate = held();
  pool.submit(gate.task);
  const map = new Outcome(pool.map([1], gate.task));
  await microtasks();
  assertEquals(counts(await pool.cancel(REASON)), [2, 0, 2]);
  assertEquals([spy.made, map.error], [0, REASON]);
  gate.end();
  await pool.join();
});

Deno.test("cancel(): given handles, only these are cancelled and reported", async () => {
  const pool = new TaskPool(1);
  const done = pool.submit(() => 1);
  await done.result;
  const other = pool.submit(() => 2);
  const gate = held();
  const named = pool.submit(gate.task);
  const report = await pool.cancel(REASON, done, named);
  assertEquals(counts(report), [1, 1, 0]);
  assertEquals(report.results, [
    { status: "fulfilled", value: 1 },
    { status: "rejected", reason: REASON },
  ]);
  assertEquals(await other.result, 2);
});

Deno.test("cancel(): a handle of another pool is refused, and nothing is cancelled", async () => {
  const pool = new TaskPool(1);
  const own = pool.submit(() => 1);
  const foreign = new TaskPool(1).submit(() => 2);
  await assertRejects(() => pool.cancel(REASON, own, foreign), TypeError, "'handles[1]'");
  assertEquals([await own.result, await foreign.result], [1, 2]);
});

Deno.test("cancel(): a waiting spawn() is counted, rejects, and never runs", async () => {
  const pool = new TaskPool(1);
  const gate = held();
  let ran = false;
  await pool.spawn(gate.task);
  const blocked = new Outcome(pool.spawn(() => ran = true));
  assertEquals(counts(await pool.cancel(REASON)), [2, 1, 1]);
  assertEquals(blocked.error, REASON);
  gate.end();
  await pool.join();
  assertEquals(ran, false);
});

Deno.test("cancel(): no promise of a queued task stays pending", async () => {
  const pool = new TaskPool(1);
  const gate = held();
  pool.submit(gate.task);
  const queued = [
    pool.run(() => 1),
    pool.spawn(() => 1),
    pool.map([1], () => 1),
    pool.mapSettled([1], () => 1),
    pool.stream([1], () => 1).next(),
    pool.batches([1], () => 1).next(),
  ].map((promise) => new Outcome<unknown>(promise));
  await microtasks();
  assertEquals(counts(await pool.cancel(REASON)), [3, 2, 1]);
  await microtasks();
  assertEquals(queued.map((each) => each.error), queued.map(() => REASON));
  gate.end();
  await pool.join();
});

Deno.test("cancel(): an idle pool has nothing to cancel, and goes on", async () => {
  const pool = new TaskPool(1);
  assertEquals(await pool.cancel(), { requested: 0, cancelled: 0, ignored: 0, results: [] });
  assertEquals(await pool.run(() => 1), 1);
});

Deno.test("cancel(): from inside a task it does not hang", async () => {
  const pool = new TaskPool(1);
  const report = pool.submit(async ({ signal }) => {
    assertEquals(signal.aborted, false);
    return counts(await pool.cancel(REASON));
  });
  assertStrictEquals(await assertRejects(() => report.result), REASON);
  await pool.join();
});
