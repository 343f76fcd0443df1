import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { KeyedPool, Pool, TaskPool, tcp } from "../../mod.ts";
import { type AnyPool as Observed, monitor } from "../../monitor/mod.ts";
import { EchoServer, unusedPort } from "../support/echo_server.ts";
import { until } from "../support/until.ts";
import { parsePrometheus } from "./_prometheus_parser.ts";

/** Names and keys that show missing escapes. */
const NASTY = `"><img src=x onerror=alert(1)>\\"\n{},'&`;

const BASE = "http://monitor.test";

async function get(handler: (request: Request) => Response | Promise<Response>, path = "/") {
  return await handler(new Request(BASE + path));
}

Deno.test("monitor: metrics are Prometheus text with conventional names and right values", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ hostname: "127.0.0.1", port: server.port }), {
    maxSize: 2,
    maxIdle: 1,
    minIdle: 1,
  });
  await using tasks = new TaskPool(3);
  using handler = monitor({ cache: pool, tasks });
  await pool.use(() => {});
  const leases = [await pool.acquire(), await pool.acquire()];
  await pool.acquire({ timeout: 5 }).catch(() => {});
  const waiting = pool.acquire();
  await tasks.run(() => Promise.resolve());

  const response = await get(handler, "/metrics");
  assertEquals(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  const families = parsePrometheus(await response.text());
  const value = (name: string, labels: Record<string, string> = {}) =>
    [...families.values()].flatMap(({ samples }) => samples).find((sample) =>
      sample.name === name &&
      Object.entries(labels).every(([label, text]) => sample.labels[label] === text)
    )?.value;
  const state = (state: string) => ({ db_client_connection_state: state });
  const pooled = { db_client_connection_pool_name: "cache" };
  assertEquals(value("db_client_connection_count", { ...pooled, ...state("used") }), 2);
  assertEquals(value("db_client_connection_count", { ...pooled, ...state("idle") }), 0);
  assertEquals(value("db_client_connection_max", pooled), 2);
  assertEquals(value("db_client_connection_idle_max", pooled), 1);
  assertEquals(value("db_client_connection_idle_min", pooled), 1);
  assertEquals(value("db_client_connection_pending_requests", pooled), 1);
  assertEquals(value("db_client_connection_timeouts_total", pooled), 1);
  assertEquals(value("db_client_connection_wait_time_seconds_count", pooled), 3);
  assertEquals(value("db_client_connection_use_time_seconds_count", pooled), 1);
  assert(value("db_client_connection_create_time_seconds_count", pooled)! >= 1);
  assert(value("sockpool_lease_age_max_seconds", pooled)! > 0);
  assertEquals(value("sockpool_task_max", { sockpool_task_pool_name: "tasks" }), 3);
  assertEquals(value("sockpool_task_run_time_seconds_count"), 1);

  leases.forEach((lease) => lease.release());
  (await waiting).release();
});

Deno.test("monitor: names, places, keys and errors are escaped in each format", async () => {
  await using server = EchoServer.listen();
  const connector = { ...tcp({ hostname: "127.0.0.1", port: server.port }), place: NASTY };
  await using pool = new Pool(connector, { name: NASTY });
  await using keyed = new KeyedPool((_key: string) => connector);
  await using down = new Pool({
    connect(): { close(): void } {
      throw Object.assign(new Error(NASTY), { name: NASTY });
    },
    isRetryable: () => false,
  });
  using handler = monitor({ [NASTY]: pool, keyed, down }, { title: NASTY });
  await pool.use(() => {});
  await keyed.use(NASTY, () => {});
  await down.acquire().catch(() => {});

  const html = await (await get(handler)).text();
  assertStringIncludes(html, "&quot;&gt;&lt;img src=x onerror=alert(1)&gt;");
  assertEquals(html.includes("<img"), false);

  const families = parsePrometheus(await (await get(handler, "/metrics")).text());
  const names = families.get("db_client_connection_max")!.samples.map(({ labels }) =>
    labels.db_client_connection_pool_name
  );
  assertEquals(names, [NASTY, "keyed", "down"]);
  assertEquals(families.get("sockpool_acquire_failures_total")!.samples.length, 1);

  const { pools } = await (await get(handler, "/stats.json")).json();
  assertEquals(pools[0].id, NASTY);
  assertEquals(pools[1].keys.length, 1);
});

Deno.test("monitor: the page runs only its own code, and nothing else may load", async () => {
  using handler = monitor({});
  const [one, other] = [await get(handler), await get(handler)];
  const policy = one.headers.get("content-security-policy")!;
  const [, nonce] = policy.match(/script-src 'nonce-([^']+)'/)!;
  assertMatch(policy, /^default-src 'none';/);
  assertEquals(/unsafe|\*|https?:/.test(policy), false);
  const html = await one.text();
  const tags = html.match(/<(script|style)[^>]*>/g)!;
  assertEquals(tags, [`<style nonce="${nonce}">`, `<script nonce="${nonce}">`]);
  assertEquals(/ on\w+=| style=/.test(html.split("<script")[0]!), false);
  assertEquals(/https?:\/\/(?!www\.w3\.org\/2000\/svg)/.test(html), false);
  assert(policy !== other.headers.get("content-security-policy")!);
  for (const header of ["x-content-type-options", "x-frame-options", "referrer-policy"]) {
    assert(one.headers.has(header), header);
  }
  await other.body?.cancel();
});

Deno.test("monitor: it works under any path, and answers no other requests", async () => {
  using handler = monitor({});
  for (const path of ["/", "/ops/pools/", "/a%2Fb/"]) {
    const page = await get(handler, path);
    assertEquals([page.status, page.headers.get("content-type")], [
      200,
      "text/html; charset=utf-8",
    ]);
    await page.body?.cancel();
    for (const file of ["metrics", "stats.json"]) {
      const figures = await get(handler, path + file);
      assertEquals(figures.status, 200);
      await figures.body?.cancel();
    }
  }
  const redirect = await get(handler, "/ops/pools");
  assertEquals(redirect.status, 308);
  const location = new URL(redirect.headers.get("location")!, `${BASE}/ops/pools`);
  assertEquals(location.pathname, "/ops/pools/");
  await redirect.body?.cancel();
  const post = await handler(new Request(`${BASE}/`, { method: "POST" }));
  assertEquals([post.status, post.headers.get("allow")], [405, "GET, HEAD"]);
  await post.body?.cancel();
  const icon = await get(handler, "/favicon.ico");
  assertEquals(icon.status, 404);
  await icon.body?.cancel();
});

Deno.test("monitor: authorize decides on every request", async () => {
  const asked: string[] = [];
  using handler = monitor({}, {
    async authorize(request) {
      await Promise.resolve();
      asked.push(new URL(request.url).pathname);
      const token = request.headers.get("authorization");
      if (token === null) {
        return new Response("Who?", { status: 401, headers: { "www-authenticate": "Basic" } });
      }
      return token === "yes";
    },
  });
  const paths = ["/", "/metrics", "/stats.json"];
  for (const path of paths) {
    const ask = async (token?: string) => {
      const headers = token === undefined ? {} : { authorization: token };
      const response = await handler(new Request(BASE + path, { headers }));
      return [response.status, await response.text()] as const;
    };
    assertEquals(await ask(), [401, "Who?"]);
    assertEquals(await ask("no"), [403, "Forbidden\n"]);
    assertEquals((await ask("yes"))[0], 200);
  }
  assertEquals(asked, paths.flatMap((path) => [path, path, path]));
});

Deno.test("monitor: many clients share one query of the pools", async () => {
  let asked = 0;
  await using pool = new Pool(() => ({}));
  const explain = pool.explain.bind(pool);
  pool.explain = () => {
    asked++;
    return explain();
  };
  using handler = monitor({ pool });
  const viewers = Array.from(
    { length: 200 },
    (_, i) => get(handler, i % 2 ? "/metrics" : "/stats.json"),
  );
  const bodies = await Promise.all((await Promise.all(viewers)).map((each) => each.text()));
  assertEquals(asked, 1);
  assertEquals(new Set(bodies).size, 2);
  const stale = performance.now();
  await until(() => performance.now() - stale > 600);
  await (await get(handler, "/metrics")).text();
  assertEquals(asked, 2);
});

Deno.test("monitor: its output is bounded, however many leases and keys there are", async () => {
  await using pool = new KeyedPool((key: number) => () => ({ key }), { maxSize: Infinity });
  using handler = monitor({ pool });
  const leases = [];
  for (let key = 0; key < 500; key++) leases.push(await pool.acquire(key));
  const { pools: [view] } = await (await get(handler, "/stats.json")).json();
  assertEquals([view.keyCount, view.stats.leased, view.stats.maxSize], [500, 500, null]);
  assertEquals([view.keys.length, view.leases.length], [50, 25]);
  leases.forEach((lease) => lease.release());
});

Deno.test("monitor: it shows why callers fail, and ends when it is disposed of", async () => {
  await using pool = new Pool(tcp({ hostname: "127.0.0.1", port: unusedPort() }), { name: "down" });
  const handler = monitor({ pool });
  await pool.acquire().catch(() => {});
  const look = async () => (await (await get(handler, "/stats.json")).json()).pools[0];
  const view = await look();
  assertEquals(view.rejected, { ConnectionRefused: 1 });
  assertEquals([view.stats.dials.failed, view.failedDials], [1, 1]);
  assertStringIncludes(view.failures[0].error, "refused");
  handler[Symbol.dispose]();
  await pool.acquire().catch(() => {});
  const since = performance.now();
  await until(() => performance.now() - since > 600); // until the snapshot is too old
  assertEquals((await look()).failedDials, 1);
});

Deno.test("monitor: a lease held for too long is counted, with the line that acquired it", async () => {
  let leaks = 0;
  await using pool = new Pool(() => ({}), {
    leakTimeout: 5,
    hooks: { onLeak: () => void leaks++ },
  });
  using handler = monitor({ pool });
  using _lease = await pool.acquire();
  await until(() => leaks > 0);
  const { pools: [view] } = await (await get(handler, "/stats.json")).json();
  assertEquals(view.leaks, 1);
  assertMatch(view.lastLeak.acquiredAt, /monitor_test\.ts:\d+/);
  assertMatch(view.leases[0].acquiredAt, /monitor_test\.ts:\d+/);
  const families = parsePrometheus(await (await get(handler, "/metrics")).text());
  assertEquals(families.get("sockpool_lease_leaks_total")!.samples[0]!.value, 1);
});

Deno.test("monitor: a paused or closed pool is shown as such", async () => {
  const state = async (pool: Observed) => {
    using handler = monitor({ pool });
    return (await (await get(handler, "/stats.json")).json()).pools[0].state;
  };
  const pools = [new Pool(() => ({})), new KeyedPool((_key: string) => () => ({}))];
  for (const pool of pools) {
    assertEquals(await state(pool), "open");
    pool.pause();
    assertEquals(await state(pool), "paused");
    await pool.close();
    assertEquals(await state(pool), "closed");
  }
});

Deno.test("monitor: invalid options are refused by name", () => {
  assertThrows(() => monitor({}, { interval: 0 }), RangeError, "interval");
  assertThrows(() => monitor({}, { authorise: () => true } as never), TypeError, "authorise");
});
