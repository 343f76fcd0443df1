/** pause(), recycle(), close({ waiters: "serve" }) and overload with the resources of each connector. */

import {
  assertEquals,
  assertGreater,
  assertGreaterOrEqual,
  assertLess,
  assertRejects,
} from "@std/assert";
import {
  type Connector,
  KeyedPool,
  type KeyView,
  type Lease,
  Pool,
  PoolClosedError,
  type PoolOptions,
  PoolOverloadedError,
  PoolTimeoutError,
  roundRobin,
  type SocketConn,
  tcp,
  tls,
  unix,
  webSocket,
  type WebSocketLease,
} from "../../mod.ts";
import { delayed, EchoServer } from "../support/echo_server.ts";
import { type Needs, needs } from "../support/needs.ts";
import { roundTrip } from "../support/round_trip.ts";
import { certs, listenTls } from "../support/tls_server.ts";
import { until } from "../support/until.ts";
import { WebSocketServer } from "../support/websocket_server.ts";

/** A server, and how to reach it. */
interface Way extends AsyncDisposable {
  // deno-lint-ignore no-explicit-any -- the leases of all connectors
  readonly connector: Connector<any, any>;
  /** How many connections were accepted. */
  accepts(): number;
  hangUp(): void;
  request(lease: Lease<unknown>, text: string): Promise<string>;
}

function socketWay(servers: EchoServer<Deno.Addr>[], connector: Way["connector"]): Way {
  return {
    connector,
    accepts: () => servers.reduce((sum, { accepts }) => sum + accepts, 0),
    hangUp: () => servers.forEach((server) => server.hangUp()),
    request: (lease, text) => roundTrip(lease as unknown as SocketConn, text),
    [Symbol.asyncDispose]: async () => {
      for (const server of servers) await server[Symbol.asyncDispose]();
    },
  };
}

function unixWay(): Way {
  const directory = Deno.makeTempDirSync();
  const path = `${directory}/socket`;
  const server = EchoServer.on(Deno.listen({ transport: "unix", path }));
  const way = socketWay([server], unix({ path }));
  return {
    ...way,
    [Symbol.asyncDispose]: async () => {
      await way[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

function webSocketWay(): Way {
  const server = new WebSocketServer();
  return {
    connector: webSocket({ url: server.url }),
    accepts: () => server.accepts,
    hangUp: () => server.peers.forEach(({ socket }) => socket.close()),
    request: async (lease, text) => {
      const conn = lease as unknown as WebSocketLease;
      conn.send(text);
      return `${await conn.receive()}`;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const WAYS: [title: string, way: () => Way, needed: Needs][] = [
  ["tcp", () => {
    const server = EchoServer.listen();
    return socketWay([server], tcp({ port: server.port }));
  }, {}],
  ["tls", () => {
    const server = listenTls();
    return socketWay([server], tls({ port: server.port, caCerts: [certs.ca] }));
  }, {}],
  ["unix", unixWay, { permissions: ["read", "write"], notOn: ["windows"] }],
  ["roundRobin", () => {
    const servers = [EchoServer.listen(), EchoServer.listen()];
    return socketWay(servers, roundRobin(servers.map(({ port }) => tcp({ port }))));
  }, {}],
  ["webSocket", webSocketWay, {}],
];

const MAX_SIZE = 4;
const CALLERS = 10;

type Subject = Pool<unknown> | KeyView<unknown>;

/** Callers that make one request after the other; a failure fails the test. */
function load(subject: Subject, way: Way) {
  const served = new Array<number>(CALLERS).fill(0);
  let isOver = false;
  const calls = served.map(async (_, caller) => {
    while (!isOver) {
      const tag = `request ${served[caller]} of caller ${caller}`;
      assertEquals(await subject.use((lease) => way.request(lease, tag)), tag);
      served[caller]!++;
    }
  });
  const all = Promise.all(calls);
  return {
    /** Each caller is served so many times more. */
    more: async (times = 2) => {
      const goals = served.map((count) => count + times);
      await Promise.race([all, until(() => served.every((count, each) => count >= goals[each]!))]);
    },
    stop: async () => {
      isOver = true;
      await all;
    },
  };
}

for (const kind of ["Pool", "KeyedPool"] as const) {
  for (const [title, wayOf, needed] of WAYS) {
    const open = (way: Way, options: PoolOptions = {}) => {
      const alone = new Pool<unknown>(way.connector, { maxSize: MAX_SIZE, ...options });
      const keyed = new KeyedPool<string, unknown>(() => way.connector, {
        maxPerKey: MAX_SIZE,
        ...options,
      });
      return kind === "Pool"
        ? { pool: alone, subject: alone }
        : { pool: keyed, subject: keyed.at("a") };
    };

    Deno.test({
      ...needs(
        `${kind} of ${title} under load: recycle() replaces each connection, one at a time`,
        needed,
      ),
      fn: async () => {
        await using way = wayOf();
        const { pool, subject } = open(way);
        const { more, stop } = load(subject, way);
        await until(() => subject.stats?.size === MAX_SIZE);
        await more();
        let fewest = MAX_SIZE;
        const look = () => {
          const { leased, idle, preparing } = subject.stats!;
          fewest = Math.min(fewest, leased + idle + preparing);
        };
        using _hooks = pool.observe({ onRetire: look, onConnect: look, onRelease: look });
        await Promise.all([subject.recycle(), pool.recycle({ over: 20 })]);
        assertGreaterOrEqual(fewest, MAX_SIZE - 1);
        assertGreaterOrEqual(subject.stats!.retired.recycled, MAX_SIZE);
        assertEquals(way.accepts(), MAX_SIZE + subject.stats!.retired.recycled);
        await more();
        await stop();
        await pool.close();
      },
    });

    Deno.test({
      ...needs(
        `${kind} of ${title} under load: the server hangs up during a pause, and no request fails`,
        needed,
      ),
      fn: async () => {
        await using way = wayOf();
        const { pool, subject } = open(way);
        const { more, stop } = load(subject, way);
        await more();
        pool.pause();
        await until(() => subject.stats!.waiting === CALLERS);
        assertEquals(subject.stats!.leased, 0);
        way.hangUp();
        await until(() => subject.stats!.size === 0);
        pool.resume();
        await more();
        await stop();
        await pool.close();
      },
    });

    Deno.test({
      ...needs(
        `${kind} of ${title}: a close that serves the waiters serves them all, dials included`,
        needed,
      ),
      fn: async () => {
        await using way = wayOf();
        const { pool, subject } = open(way);
        const request = (tag: string, priority = 0) =>
          subject.use((lease) => way.request(lease, tag), { priority });
        const first = Array.from({ length: 20 }, (_, n) => request(`first ${n}`, n % 3));
        const closed = pool.close({ waiters: "serve" });
        await assertRejects(() => request("later"), PoolClosedError);
        assertEquals(await Promise.all(first), first.map((_, n) => `first ${n}`));
        await closed;
        assertEquals(way.accepts(), MAX_SIZE);
      },
    });
  }
}

/** For how long a request holds a connection. */
const REQUEST = 10;
const TARGET = 20;
const DEADLINE = 1_000;
const DURATION = 2_000;

/** Callers come at twice the capacity; the waits of those that were served, and how many requests were done. */
async function overloaded(options: PoolOptions) {
  await using server = EchoServer.listen(delayed(REQUEST));
  await using pool = new Pool(tcp({ port: server.port }), {
    maxSize: MAX_SIZE,
    acquireTimeout: DEADLINE,
    ...options,
  });
  const waits: number[] = [];
  let [done, refused] = [0, 0];
  const call = async () => {
    const came = performance.now();
    try {
      using conn = await pool.acquire();
      waits.push(performance.now() - came);
      await roundTrip(conn, "ping");
      done++;
    } catch (error) {
      if (error instanceof PoolOverloadedError) refused++;
      else if (!(error instanceof PoolTimeoutError)) throw error;
    }
  };
  const calls: Promise<void>[] = [];
  const begun = performance.now();
  const rate = 2 * MAX_SIZE / REQUEST;
  for (let now = begun; now < begun + DURATION; now = performance.now()) {
    while (calls.length < (now - begun) * rate) calls.push(call());
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const inTime = done;
  await Promise.all(calls);
  const late = waits.slice(waits.length >> 1).toSorted((a, b) => a - b);
  return { median: late[late.length >> 1]!, done: inTime, refused };
}

Deno.test("Pool of tcp at twice its capacity: with overload the waits are far shorter, and as much is done", async () => {
  const overload = { target: TARGET, interval: 10 * TARGET };
  const [refusing, patient] = await Promise.all([overloaded({ overload }), overloaded({})]);
  assertGreater(refusing.refused, 0);
  assertEquals(patient.refused, 0);
  assertLess(refusing.median, patient.median / 3);
  assertGreater(refusing.done, 0.8 * patient.done);
});
