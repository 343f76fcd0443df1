import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { PoolDurations } from "../../pool/mod.ts";
import { needs, PROCESS } from "../support/needs.ts";
import { OtlpReceiver } from "./_otlp_receiver.ts";

/** The process of `_pool_process.ts`, which keeps its state until disposed. */
class PoolProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #output: ReadableStreamDefaultReader<string>;
  port = 0;
  /** The pool's own times, in milliseconds. */
  durations!: PoolDurations;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  static async start(what: string, env: Record<string, string>): Promise<PoolProcess> {
    const script = new URL("./_pool_process.ts", import.meta.url).href;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-check", "--no-prompt", "--allow-net", script, what],
      env,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const process = new PoolProcess(child);
    let text = "";
    while (!text.includes("\n")) {
      const { value, done } = await process.#output.read();
      if (done) throw new Error(`The process ended: ${text}`);
      text += value;
    }
    const [, port, durations] = text.match(/ready (\d+) (.*)/)!;
    process.port = Number(port);
    process.durations = JSON.parse(durations!);
    return process;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // `Deno.exit` never ends while telemetry is being collected: Deno 2.9.6.
    this.#child.kill("SIGKILL");
    await this.#child.stdin.close();
    await this.#output.cancel();
    await this.#child.status;
  }
}

const REQUESTS = ["first", "second", "third", "fourth", "fifth"];

const pool = (name: string, more: Record<string, string> = {}) => ({
  "db.client.connection.pool.name": name,
  ...more,
});

Deno.test({
  ...needs("telemetry: an OTLP receiver gets the conventions' metrics of a pool", PROCESS),
  async fn(t) {
    await using receiver = OtlpReceiver.listen();
    await using process = await PoolProcess.start("metrics", receiver.env);
    const exports = receiver.exports;
    await receiver.until(() => receiver.exports >= exports + 2); // one of them has the present state
    const cache = pool("cache", { zone: "a" });
    const value = (name: string, attributes: Record<string, string>) =>
      receiver.point(name, attributes)?.value;

    await t.step("under their names, with their units and kinds", () => {
      const connections = { unit: "{connection}", kind: "sum", isMonotonic: false };
      const expected = {
        "db.client.connection.count": connections,
        "db.client.connection.max": connections,
        "db.client.connection.idle.max": connections,
        "db.client.connection.idle.min": connections,
        "db.client.connection.pending_requests": { ...connections, unit: "{request}" },
        "db.client.connection.timeouts": { unit: "{timeout}", kind: "sum", isMonotonic: true },
        "db.client.connection.create_time": { unit: "s", kind: "histogram" },
        "db.client.connection.wait_time": { unit: "s", kind: "histogram" },
        "db.client.connection.use_time": { unit: "s", kind: "histogram" },
      };
      for (const [name, shape] of Object.entries(expected)) {
        const { points: _, description, name: received, ...rest } = receiver.metric(name)!;
        assertEquals([received, rest], [name, shape as typeof rest]);
        assert(description.endsWith("."), description);
      }
    });

    await t.step("with the counts of idle, used and awaited connections", () => {
      const states = (name: string) =>
        ["idle", "used"].map((state) =>
          value("db.client.connection.count", pool(name, { "db.client.connection.state": state }))
        );
      assertEquals(states("cache"), [0, 3]);
      assertEquals(states("spare"), [1, 0]);
      assertEquals(value("db.client.connection.pending_requests", cache), 1);
      assertEquals(value("db.client.connection.pending_requests", pool("spare")), 0);
    });

    await t.step("with the bounds, if there are any", () => {
      assertEquals(value("db.client.connection.max", cache), 3);
      assertEquals(value("db.client.connection.idle.max", cache), 2);
      assertEquals(value("db.client.connection.idle.min", cache), 1);
      assertEquals(value("db.client.connection.max", pool("spare")), undefined); // Infinity
      assertEquals(value("db.client.connection.idle.min", pool("spare")), 0);
    });

    await t.step("with a number after a duplicate name", () => {
      assertEquals(value("db.client.connection.max", pool("spare#2")), 10);
    });

    await t.step("with timeouts, from 0 on", () => {
      assertEquals(value("db.client.connection.timeouts", cache), 1);
      assertEquals(value("db.client.connection.timeouts", pool("down")), 0);
    });

    await t.step("with times in seconds, in buckets that fit", () => {
      const [create, wait, use] = ["create", "wait", "use"].map((what) =>
        receiver.point(`db.client.connection.${what}_time`, cache)!
      );
      assertEquals([create!.count, wait!.count, use!.count], [3, 4, 1]);
      const { dial, acquire, use: held } = process.durations;
      for (const [{ sum }, ms] of [[create!, dial], [wait!, acquire], [use!, held]] as const) {
        assertAlmostEquals(sum! * 1_000, ms.sum, 1e-3);
      }
      assert(held.sum >= 15, `${held.sum}`); // during the wait that timed out after 20 ms
      assertEquals(wait!.bounds!.slice(0, 3), [0.0005, 0.001, 0.0025]);
      assertEquals(wait!.bounds!.at(-1), 30);
      assertEquals(use!.bounds!.at(-1), 600);
      for (const { buckets, count } of [create!, wait!, use!]) {
        assertEquals(buckets!.reduce((sum, each) => sum + each), count);
      }
    });

    await t.step("with failed dials and errors by their class", () => {
      assertEquals(value("sockpool.dial.failures", pool("down")), 1);
      assertEquals(
        value("sockpool.acquire.failures", pool("down", { "error.type": "ConnectionRefused" })),
        1,
      );
      assertEquals(
        value("sockpool.acquire.failures", pool("cache", { "error.type": "PoolTimeoutError" })),
        1,
      );
      assert(receiver.point("sockpool.lease.age.max", cache)!.value! > 0);
    });

    await t.step("with a label for each of the first keys, and one for all others", () => {
      const used = (key: string) =>
        value(
          "db.client.connection.count",
          pool("hosts", { "sockpool.pool.key": key, "db.client.connection.state": "used" }),
        );
      assertEquals(["a", "b", "other", "c", "d"].map(used), [1, 2, 2, undefined, undefined]);
      assertEquals(value("db.client.connection.max", pool("hosts")), 9);
      const waits = receiver.metric("db.client.connection.wait_time")!.points.filter((point) =>
        point.attributes["db.client.connection.pool.name"] === "hosts"
      );
      const counts = waits.map(({ attributes, count }) => [attributes["sockpool.pool.key"], count]);
      assertEquals(counts.sort(), [["a", 1], ["b", 2], ["other", 2]]);
    });

    await t.step("with running, waiting and ended tasks", () => {
      const tasks = { "sockpool.task.pool.name": "thumbnails" };
      const count = (state: string) =>
        value("sockpool.task.count", { ...tasks, "sockpool.task.state": state });
      assertEquals(["running", "queued", "overdue"].map(count), [2, 1, 0]);
      assertEquals(value("sockpool.task.max", tasks), 2);
      assertEquals(receiver.point("sockpool.task.wait_time", tasks)?.count, 4);
      const ended = (outcome: string) =>
        receiver.point("sockpool.task.run_time", { ...tasks, "sockpool.task.outcome": outcome })
          ?.count;
      assertEquals(["fulfilled", "rejected"].map(ended), [1, 1]);
    });
  },
});

Deno.test({
  ...needs(
    "telemetry: the span of an acquire is a child of its caller's, and the span of a dial a child of that",
    PROCESS,
  ),
  async fn() {
    await using receiver = OtlpReceiver.listen();
    await using process = await PoolProcess.start("spans", receiver.env);
    const { spans } = receiver;
    const named = (name: string) => spans.filter((span) => span.name === name);
    const request = (name: string) => named(name)[0]!;
    const acquireOf = (name: string) =>
      named("sockpool.acquire").filter(({ parentId }) => parentId === request(name).id);
    await receiver.until(() =>
      REQUESTS.every((name) => named(name).length === 1) &&
      named("sockpool.acquire").length >= 6 && named("sockpool.connect").length >= 3
    );

    for (const name of REQUESTS) {
      assertEquals(acquireOf(name).length, 1, name);
      assertEquals(acquireOf(name)[0]!.traceId, request(name).traceId);
    }
    assertEquals(named("sockpool.acquire").length, 6); // one is outside of a request
    const [first, second, third, fourth, fifth] = REQUESTS.map((name) => acquireOf(name)[0]!);
    assertEquals(first!.attributes["sockpool.lease.reused"], false);
    assertEquals(second!.attributes["sockpool.lease.reused"], true);
    assertEquals(third!.attributes["error.type"], "PoolTimeoutError");
    assertEquals([first, second, third, fourth].map((span) => span!.status), [0, 0, 2, 2]);
    // The second waits while the third waits for 20 ms; the lease comes after that.
    assert(second!.end - second!.start >= third!.end - third!.start);

    const [dial, failed, ofKey] = named("sockpool.connect");
    assertEquals(dial!.parentId, first!.id);
    assertEquals(dial!.kind, 3); // a client, as OTLP numbers it
    assertEquals(dial!.attributes["server.address"], "127.0.0.1");
    assertAlmostEquals(Number(dial!.attributes["server.port"]), process.port);
    assert(dial!.start >= first!.start - 1 && dial!.end <= first!.end + 1);
    assertEquals([failed!.parentId, failed!.status], [fourth!.id, 2]);
    assertEquals(ofKey!.parentId, fifth!.id);
    for (const span of [fifth!, ofKey!]) assertEquals(span.attributes["sockpool.pool.key"], "a\\n");
  },
});

Deno.test({
  ...needs("telemetry: disposing of the instrument ends all measurements", PROCESS),
  async fn() {
    await using receiver = OtlpReceiver.listen();
    await using _process = await PoolProcess.start("off", receiver.env);
    const exports = receiver.exports;
    await receiver.until(() =>
      receiver.exports >= exports + 2 &&
      receiver.spans.some(({ name }) => name === "sockpool.acquire")
    );
    const waits = (name: string) =>
      receiver.point("db.client.connection.wait_time", pool(name))?.count;
    assertEquals([waits("gone"), waits("kept")], [1, 1]); // of two, and of one
    assertEquals(receiver.point("db.client.connection.count", pool("gone")), undefined);
    assert(receiver.point("db.client.connection.count", pool("kept")) !== undefined);
    assertEquals(receiver.spans.filter(({ name }) => name === "sockpool.acquire").length, 1);
  },
});
