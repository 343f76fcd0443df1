import { assertEquals, assertRejects } from "@std/assert";
import { Pool, TaskPool, TaskTimeoutError, tcp } from "../../mod.ts";
import { roundTrip } from "../support/round_trip.ts";
import { StallServer } from "../support/stall_server.ts";

const LIMIT = 150;

/** Blocks the event loop. */
function stall(duration: number): void {
  const end = performance.now() + duration;
  while (performance.now() < end);
}

Deno.test("a stall longer than the timeout fails no task whose reply came in time", async () => {
  using server = await StallServer.start("tcp", { delay: 20 });
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 5 });
  await pool.warm(5);
  await using tasks = new TaskPool({ size: 5, timeout: LIMIT });
  for (let round = 0; round < 4; round++) {
    const replies = tasks.mapSettled(
      Array.from({ length: 5 }, (_, id) => `${round}.${id}`),
      (text) => pool.use((conn) => roundTrip(conn, text)),
    );
    await new Promise((resolve) => setTimeout(resolve, 0)); // the requests have been sent
    stall(400);
    const outcomes = await replies;
    assertEquals(outcomes.map(({ status }) => status), Array(5).fill("fulfilled"));
  }
});

Deno.test("a task without a reply is ended by its timeout, also after a stall", async () => {
  await using tasks = new TaskPool({ size: 1, timeout: LIMIT, onDispose: "cancel" });
  const never = tasks.run(({ signal }) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)))
  );
  stall(2 * LIMIT);
  await assertRejects(() => never, TaskTimeoutError);
});
