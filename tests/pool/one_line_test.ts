/** What a program may log is one line, with figures, and without plumbing or secrets. */

import { assertEquals, assertFalse, assertThrows } from "@std/assert";
import { ClusterSemaphore, limited, memoryEngine } from "../../cluster/mod.ts";
import {
  failover,
  KeyedPool,
  Lease,
  type LeaseSlot,
  Pool,
  roundRobin,
  Semaphore,
  TaskPool,
  tcp,
  webSocket,
} from "../../mod.ts";
import { ManualClock, ScriptedConnector } from "../../testing/mod.ts";
import { EchoServer } from "../support/echo_server.ts";
import { WebSocketServer } from "../support/websocket_server.ts";

const SECRET = "hunter2";

/** Asserts that a value shows itself so, as a string and where it is logged. */
function assertShows(value: unknown, text: string): void {
  assertEquals(String(value), text);
  assertEquals(Deno.inspect(value), text);
}

Deno.test("a lease shows how often its resource was lent, and that it has ended", async () => {
  await using pool = new Pool(() => ({ password: SECRET }));
  (await pool.acquire()).release();
  const lease = await pool.acquire();
  assertShows(lease, "Lease(use 2)");
  lease.release();
  assertShows(lease, "Lease(ended)");
});

Deno.test("a lease of a class of its own shows itself by that name, or as the class has it", async () => {
  class Named extends Lease<object> {}
  class Worded extends Lease<object> {
    override toString(): string {
      return "mine";
    }
  }
  for (const [Type, text] of [[Named, "Named(use 1)"], [Worded, "mine"]] as const) {
    const lease = (slot: LeaseSlot<object>) => new Type(slot);
    await using pool = new Pool({ connect: () => ({ password: SECRET }), lease });
    using shown = await pool.acquire();
    assertShows(shown, text);
  }
});

Deno.test("leases on sockets and WebSockets show nothing of them", async () => {
  await using server = EchoServer.listen();
  await using webSockets = new WebSocketServer();
  const init = () => ({ token: SECRET });
  await using sockets = new Pool(tcp({ port: server.port, init }));
  await using others = new Pool(webSocket({ url: `${webSockets.url}/?token=${SECRET}`, init }));
  using conn = await sockets.acquire();
  using ws = await others.acquire();
  assertShows(conn, "SocketLease(use 1)");
  assertShows(ws, "WebSocketLease(use 1)");
  for (const value of [conn.value, ws.value]) {
    const text = Deno.inspect(value);
    assertFalse(text.includes("\n") || text.includes(SECRET), text);
  }
});

Deno.test("connectors show their places, a copy with other methods too", () => {
  const one = tcp({ hostname: "a.example", port: 1, proxy: `socks5://me:${SECRET}@proxy:1` });
  assertShows(one, "Connector(tcp://a.example:1 through socks5://proxy:1)");
  assertShows(
    { ...one, isFatal: () => false },
    "Connector(tcp://a.example:1 through socks5://proxy:1)",
  );
  const chat = webSocket({
    url: `wss://me:${SECRET}@b.example/chat?token=${SECRET}`,
    headers: { authorization: SECRET },
  });
  assertShows(chat, "Connector(wss://b.example/chat)");
});

Deno.test("connectors over several endpoints show how many are up, and what is open", async () => {
  await using server = EchoServer.listen();
  const up = tcp({ hostname: "127.0.0.1", port: server.port });
  const down = () => Promise.reject(new Error("down"));
  const connector = failover([{ place: "standby", connect: down }, up]);
  await using pool = new Pool(connector);
  using _lease = await pool.acquire();
  assertShows(
    connector,
    `Connector(failover(standby, tcp://127.0.0.1:${server.port}); up 1 of 2, open 1)`,
  );
  assertShows(roundRobin(() => ({})), "Connector(roundRobin(connectors[0]); up 1 of 1, open 0)");
});

Deno.test("a limited connector shows its semaphore, and the place of the latest dial", async () => {
  await using server = new WebSocketServer();
  await using semaphore = new ClusterSemaphore({ engine: memoryEngine(), key: "k", permits: 1 });
  const connector = limited(webSocket({ url: () => server.url }), semaphore);
  await using pool = new Pool(connector);
  (await pool.acquire()).discard();
  const place = `${new URL(server.url)}`;
  assertEquals(connector.place, place);
  assertShows(connector, `Connector(${place}; limited by ${semaphore})`);
});

Deno.test("one key of a keyed pool shows its figures, or that it is empty", async () => {
  await using hosts = new KeyedPool((_url: string) => () => ({ password: SECRET }));
  const url = `redis://me:${SECRET}@a.example`;
  const key = hosts.at(url);
  assertShows(key, "KeyView(redis://me:***@a.example: empty)");
  using _lease = await key.acquire();
  assertShows(
    key,
    "KeyView(redis://me:***@a.example: leased 1, idle 0, waiting 0, max 10; " +
      "all keys: open 1, max 100)",
  );
});

Deno.test("what is not a key shows itself too, where every other use of it is refused", async () => {
  await using hosts = new KeyedPool((_key: unknown) => () => ({}));
  const key = hosts.at({ password: SECRET });
  assertThrows(() => key.stats, TypeError, "keyOf");
  assertShows(key, "KeyView(Object: not a key of this pool)");
});

Deno.test("reports of pools and keyed pools are logged as their texts", async () => {
  await using pool = new Pool(() => ({ password: SECRET }), { name: "db" });
  await using hosts = new KeyedPool((_host: string) => () => ({ password: SECRET }));
  using _lease = await pool.acquire();
  using _other = await hosts.acquire("a.example");
  const clock = / \d+ ms/g; // the ages go on between two reports
  for (const report of [pool.explain(), hosts.explain(), hosts.at("a.example").explain()]) {
    assertEquals(Deno.inspect(report).replace(clock, ""), String(report).replace(clock, ""));
    assertFalse(JSON.stringify(report).includes(SECRET));
  }
});

Deno.test("permits show whether they are held", async () => {
  const permit = await new Semaphore(1).acquire();
  assertShows(permit, "Permit(held)");
  permit.release();
  assertShows(permit, "Permit(released)");
  const semaphore = new ClusterSemaphore({ engine: memoryEngine(), key: "k", permits: 2 });
  const [released, lost] = [await semaphore.acquire(), await semaphore.acquire()];
  assertShows(released, `ClusterPermit(token ${released.token}, valid)`);
  released.release();
  assertShows(released, `ClusterPermit(token ${released.token}, released)`);
  await semaphore.close();
  assertShows(lost, `ClusterPermit(token ${lost.token}, lost)`);
});

Deno.test("a task's handle shows its state, and nothing of the pool", async () => {
  await using tasks = new TaskPool(1);
  const handle = tasks.submit(() => ({ password: SECRET }));
  assertShows(handle, "TaskHandle(queued)");
  await handle.result;
  assertShows(handle, "TaskHandle(fulfilled)");
  assertShows(tasks, "TaskPool(running 0, queued 0, size 1)");
});

Deno.test("what tests are made with shows its state", async () => {
  const clock = new ManualClock(5);
  clock.sleep(1);
  assertShows(clock, "ManualClock(now 5, wall 6)");
  const connector = new ScriptedConnector();
  await using pool = new Pool(connector);
  using _lease = await pool.acquire();
  assertShows(connector, "ScriptedConnector(open 1, calls 2)");
});
