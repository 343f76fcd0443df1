import { assertLessOrEqual } from "@std/assert";
import { type CallTrace, TracedPackage } from "../support/call_trace.ts";
import { needs, PROCESS } from "../support/needs.ts";

/** What was reached; a change that needs more must be worth it. */
const MOST: Record<string, Omit<CallTrace, "files">> = {
  "plain: acquire, idle": { entered: 18, returns: 4 },
  "plain: release, no waiter": { entered: 24, returns: 9 },
  "plain: release to a waiter": { entered: 38, returns: 15 },
  "isBroken: release to a waiter": { entered: 40, returns: 15 },
  "keyed: acquire, idle": { entered: 33, returns: 13 },
  "keyed: release, no waiter": { entered: 40, returns: 19 },
  "tcp: acquire, idle": { entered: 47, returns: 20 },
  "tcp: release, no waiter": { entered: 46, returns: 18 },
  "tcp: release to a waiter": { entered: 176, returns: 95 },
  "tcp: read": { entered: 12, returns: 4 },
};

// deno-lint-ignore no-explicit-any -- the classes of a copy of the package
type Traced = any;

type Traces = Record<string, CallTrace>;

/** The clock and the event loop decide about a few calls, so that a single walk proves little. */
const WALKS = 10;

/** Traces an acquire, a release and a release to a waiter of a pool that has been used before. */
async function walk(
  traced: TracedPackage,
  title: string,
  acquire: () => Promise<Traced>,
  use: (lease: Traced) => Promise<unknown> = async () => {},
): Promise<Traces> {
  for (let i = 0; i < 3; i++) {
    const lease = await acquire();
    await use(lease);
    lease.release();
  }
  const [acquired, first] = await traced.trace(acquire);
  await use(first);
  const [released] = await traced.trace(() => first.release());
  const lease = await acquire();
  await use(lease);
  const [waiter, behind] = [acquire(), acquire()];
  const [passed, next] = await traced.trace(() => (lease.release(), waiter));
  await use(next);
  next.release();
  (await behind).discard();
  return {
    [`${title}: acquire, idle`]: acquired,
    [`${title}: release, no waiter`]: released,
    [`${title}: release to a waiter`]: passed,
  };
}

/** The least of each call over several walks. */
async function leastOf(walkOnce: () => Promise<Traces>): Promise<Traces> {
  const least: Record<string, CallTrace> = {};
  for (let i = 0; i < WALKS; i++) {
    for (const [title, trace] of Object.entries(await walkOnce())) {
      if (trace.entered < (least[title]?.entered ?? Infinity)) least[title] = trace;
    }
  }
  return least;
}

Deno.test({
  ...needs("an acquire, a release and a read enter no more functions than they did", PROCESS),
  async fn() {
    await using traced = await TracedPackage.load();
    const { Pool, KeyedPool, tcp } = traced.module;
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const serving = (async () => {
      for await (const conn of listener) conn.readable.pipeTo(conn.writable).catch(() => {});
    })();
    const options = { maxSize: 1 };
    const target = { hostname: "127.0.0.1", port: listener.addr.port };
    await using plain = new Pool(() => ({}), options);
    await using broken = new Pool({ connect: () => ({}), isBroken: () => false }, options);
    await using keyed = new KeyedPool(() => () => ({}), options);
    await using sockets = new Pool(tcp(target), options);
    const write = (conn: Traced) => conn.write(new Uint8Array(4));
    const read = (conn: Traced) => conn.read(new Uint8Array(1_024));
    const echo = async (conn: Traced) => {
      await write(conn);
      await read(conn);
    };
    const traces = await leastOf(async () => {
      const conn = await sockets.acquire();
      await write(conn);
      const [reading] = await traced.trace(() => read(conn));
      conn.release();
      return {
        "tcp: read": reading,
        ...await walk(traced, "plain", () => plain.acquire()),
        ...await walk(traced, "isBroken", () => broken.acquire()),
        ...await walk(traced, "keyed", () => keyed.acquire("key")),
        ...await walk(traced, "tcp", () => sockets.acquire(), echo),
      };
    });
    for (const pool of [plain, broken, keyed, sockets]) await pool.close();
    listener.close();
    await serving;
    for (const [title, { entered, returns }] of Object.entries(MOST)) {
      const trace = traces[title]!;
      assertLessOrEqual(trace.entered, entered, `${title} enters ${trace.entered} functions`);
      assertLessOrEqual(
        trace.returns,
        returns,
        `${title} returns ${trace.returns} times to a file`,
      );
    }
  },
});
