import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { AsyncLocalStorage } from "node:async_hooks";
import { type TaskHandle, TaskPool } from "../tasks/mod.ts";
import { microtasks } from "./_scene.ts";

Deno.test("whatever is done to a pool, no more than size start running, and everything settles", async () => {
  const step = fc.record({
    kind: fc.constantFrom("submit", "cancel", "resize", "pause", "resume", "end", "fail", "tick"),
    n: fc.integer({ min: 0, max: 5 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const pool = new TaskPool(2);
      const handles: TaskHandle<void>[] = [];
      const bodies: { end(): void; fail(reason: unknown): void }[] = [];
      let violations = 0;
      let before = 0;
      const body = () => {
        // What a body throws is its result: note it down instead.
        if (bodies.length >= pool.stats.running) violations++;
        return new Promise<void>((end, fail) => bodies.push({ end, fail }));
      };
      for (const { kind, n } of steps) {
        if (kind === "submit") handles.push(pool.submit(body, { priority: n % 2 }));
        if (kind === "cancel") handles[n]?.cancel();
        if (kind === "resize") pool.size = n + 1;
        if (kind === "pause") pool.pause();
        if (kind === "resume") pool.resume();
        if (kind === "end") bodies.splice(n, 1)[0]?.end();
        if (kind === "fail") bodies.splice(n, 1)[0]?.fail(n);
        await microtasks(kind === "tick" ? 64 : n);
        const { running, size, overdue } = pool.stats;
        assert(running <= Math.max(size, before), "only a smaller size leaves more running");
        assert(overdue <= running);
        assert(bodies.length <= running, "every body that runs holds a slot");
        before = running;
      }
      const outcomes = Promise.all(handles.map((handle) => handle.outcome()));
      pool.size = 5;
      pool.resume();
      while (!pool.isIdle) {
        bodies.shift()?.end();
        await microtasks();
      }
      await pool.join().catch(() => {});
      assertEquals(violations, 0);
      assertEquals((await outcomes).length, handles.length);
      const { running, queued, overdue, fulfilled, rejected, cancelled } = pool.stats;
      assertEquals({ running, queued, overdue }, { running: 0, queued: 0, overdue: 0 });
      assertEquals(fulfilled + rejected + cancelled, handles.length);
    }),
    { seed: 5, numRuns: 300 },
  );
});

Deno.test("a task and a map run in the async context of their caller", async () => {
  const storage = new AsyncLocalStorage<number>();
  const pool = new TaskPool(1);
  const read = () => storage.getStore();
  const runs = [1, 2, 3].map((n) => storage.run(n, () => pool.run(read)));
  const map = storage.run(4, () => pool.map([1, 2], read));
  assertEquals(await Promise.all(runs), [1, 2, 3]);
  assertEquals(await map, [4, 4]);
});
