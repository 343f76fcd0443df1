import { channel } from "node:diagnostics_channel";
import { assertEquals, assertThrows } from "@std/assert";
import { KeyedPool, Pool, TaskPool } from "../../mod.ts";
import { instrument } from "../../telemetry/mod.ts";

/** Records the messages of channels. */
class Messages implements Disposable {
  readonly #channels: [name: string, listener: (message: unknown) => void][];
  readonly all: [name: string, message: Record<string, unknown>][] = [];

  constructor(...names: string[]) {
    this.#channels = names.map((name) => [
      `sockpool:${name}`,
      (message) => this.all.push([name, message as Record<string, unknown>]),
    ]);
    for (const [name, listener] of this.#channels) channel(name).subscribe(listener);
  }

  get names(): string[] {
    return this.all.map(([name]) => name);
  }

  [Symbol.dispose](): void {
    for (const [name, listener] of this.#channels) channel(name).unsubscribe(listener);
  }
}

const EVENTS = ["connect", "acquire", "release", "retire", "reject", "error"];

Deno.test("telemetry: channels of node:diagnostics_channel have the events of a pool", async () => {
  using messages = new Messages(...EVENTS);
  const resource = {};
  {
    await using pool = new Pool({ connect: () => resource, close: () => {} }, { name: "things" });
    using _telemetry = instrument(pool);
    await pool.use(() => {});
    await pool.acquire({ signal: AbortSignal.abort("no") }).catch(() => {});
    using _lease = await pool.acquire();
    await pool.close({ force: true });
  }
  assertEquals(messages.names.slice(0, 3), ["connect", "acquire", "release"]);
  assertEquals(new Set(messages.all.map(([, { pool }]) => pool)), new Set(["things"]));
  const [, acquired] = messages.all[1]!;
  assertEquals([acquired.resource, acquired.reused, typeof acquired.waited], [
    resource,
    false,
    "number",
  ]);
});

Deno.test("telemetry: channels have the key", async () => {
  using messages = new Messages("acquire");
  await using pool = new KeyedPool((_key: string) => ({ connect: () => ({}), close: () => {} }), {
    name: "hosts",
  });
  await pool.use("before", () => {});
  {
    using _telemetry = instrument(pool);
    await pool.use("before", () => {});
    await pool.use("after\n", () => {});
  }
  await pool.use("after\n", () => {});
  assertEquals(messages.all.map(([, { pool, key }]) => [pool, key]), [
    ["hosts", "before"],
    ["hosts", "after\\n"],
  ]);
});

Deno.test("telemetry: channels have the events of a task pool", async () => {
  using messages = new Messages("task:start", "task:end");
  await using pool = new TaskPool(1);
  using _telemetry = instrument(pool, { name: "work" });
  await pool.run(() => Promise.resolve());
  await pool.join();
  assertEquals(messages.names, ["task:start", "task:end"]);
  assertEquals(messages.all[1]![1].outcome, "fulfilled");
});

Deno.test("telemetry: invalid options are refused by name", async () => {
  await using pool = new Pool(() => ({}));
  assertThrows(() => instrument(pool, { maxKeys: -1 }), RangeError, "maxKeys");
  assertThrows(() => instrument(pool, { meters: {} } as never), TypeError, "meters");
});
