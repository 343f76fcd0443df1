import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import {
  type Connector,
  failover,
  Lease,
  type LeaseSlot,
  Pool,
  roundRobin,
  type Socket,
  type SocketLease,
  tcp,
  unix,
} from "../../mod.ts";
import { Site } from "../support/site.ts";
import { roundTrip } from "../support/round_trip.ts";
import { contextOf } from "../support/connect_context.ts";

const context = { signal: new AbortController().signal };

class Ticket {
  closes = 0;
  [Symbol.dispose](): void {
    this.closes++;
  }
}

class NamedLease<T> extends Lease<T> {
  constructor(slot: LeaseSlot<T>, readonly by: string) {
    super(slot);
  }
}

/** A connector with private state, whose methods need `this`. */
class Counting implements Connector<{ id: number }> {
  #opened = 0;
  readonly calls: string[] = [];

  connect() {
    return { id: ++this.#opened };
  }

  get opened(): number {
    return this.#opened;
  }

  close({ id }: { id: number }): void {
    if (id <= this.#opened) this.calls.push(`close ${id}`);
  }

  check(): boolean {
    this.calls.push("check");
    return this.#opened < 2;
  }
}

Deno.test("endpoints: without a method of its connector, a resource is treated as in its own pool", async () => {
  const tickets: Ticket[] = [];
  const open = () => {
    tickets.push(new Ticket());
    return tickets.at(-1)!;
  };
  const named: Connector<Ticket, NamedLease<Ticket>> = {
    connect: open,
    close: (ticket) => void (ticket.closes += 10),
    lease: (slot) => new NamedLease(slot, "b"),
    check: () => false,
    reset: () => Promise.reject(new Error("cannot be reset")),
    isBroken: () => true,
  };
  const connector = roundRobin(open, named);
  await using pool = new Pool(connector, { checkAfter: 0 });
  const a = await pool.acquire();
  const b = await pool.acquire();
  assertEquals([a.constructor, b.constructor], [Lease, NamedLease]);
  assertEquals(b instanceof NamedLease && b.by, "b");
  a.release();
  b.release();
  assertEquals(tickets.map(({ closes }) => closes), [0, 10]);
  using again = await pool.acquire();
  assert(again.reused);
  again.discard();
  assertEquals(tickets.map(({ closes }) => closes), [1, 10]);
});

Deno.test("endpoints: a group has only the methods that a member has", () => {
  const plain = roundRobin(() => 1, () => 2);
  assertEquals(
    Object.keys(plain).sort(),
    ["close", "connect", "endpoints", "isRetryable", "lease", "place", "toString"],
  );
  const sockets = roundRobin(tcp({ port: 1 }), () => 2);
  assert(sockets.watch && sockets.probe && sockets.unwatch && sockets.isStale);
  assertEquals([sockets.check, sockets.reset], [undefined, undefined]);
});

Deno.test("endpoints: a check that returns undefined counts as failed, as in a pool", async () => {
  const careless = { connect: () => ({}), check: (() => {}) as unknown as () => boolean };
  const connector = failover(careless);
  const resource = await connector.connect(contextOf(context.signal));
  assert(!connector.check!(resource, context));
});

Deno.test("endpoints: methods are called on the connector that has them", async () => {
  const members = [new Counting(), new Counting()];
  await using pool = new Pool(roundRobin(members), { checkAfter: 0 });
  const leases = [await pool.acquire(), await pool.acquire(), await pool.acquire()];
  for (const lease of leases) lease.release();
  (await pool.acquire()).release();
  await pool.close();
  for (const { calls, opened } of members) {
    const closes = Array.from({ length: opened }, (_, i) => `close ${i + 1}`);
    assertEquals([...new Set(calls)].sort(), ["check", ...closes]);
  }
});

Deno.test("endpoints: primitive values can be pooled", async () => {
  const closed: string[] = [];
  let last = 0;
  const member = (name: string) => ({
    connect: () => ++last,
    close: (id: number) => void closed.push(`${name}${id}`),
  });
  const connector = roundRobin(member("a"), member("b"));
  {
    await using pool = new Pool(connector);
    assertEquals(await pool.warm(5), 5);
    assertEquals(connector.endpoints.map(({ open }) => open), [3, 2]);
  }
  assertEquals(closed.sort(), ["a1", "a3", "a5", "b2", "b4"]);
  assertEquals(connector.endpoints.map(({ open }) => open), [0, 0]);
});

Deno.test("endpoints: one endpoint can have the same number open many times, two endpoints cannot", async () => {
  const closed: string[] = [];
  const member = (name: string) => ({
    connect: () => 7,
    close: (id: number) => void closed.push(`${name}${id}`),
  });
  const alone = failover(member("a"), member("b"));
  {
    await using pool = new Pool(alone);
    assertEquals(await pool.warm(3), 3);
    using lease = await pool.acquire();
    assertEquals([lease.value, alone.endpoints[0]!.open], [7, 3]);
    lease.discard();
    assertEquals(alone.endpoints[0]!.open, 2);
  }
  assertEquals([closed.splice(0), alone.endpoints[0]!.open], [["a7", "a7", "a7"], 0]);
  assertEquals(
    [await alone.connect(contextOf(context.signal)), alone.endpoints[0]!.open],
    [7, 1],
    "and once more",
  );

  const both = roundRobin(member("a"), member("b"));
  await using pool = new Pool(both, { retry: { attempts: 5, minDelay: 1 } });
  using lease = await pool.acquire();
  await assertRejects(
    () => pool.acquire(),
    TypeError,
    "Cannot pool 7 as another endpoint has opened the same: only objects can be told apart",
  );
  assertEquals([closed, pool.stats.dials.failed], [["b7"], 1]);
  assertEquals(both.endpoints.map(({ open, up }) => [open, up]), [[1, true], [0, true]]);
  assertEquals(lease.value, 7);
});

Deno.test("endpoints: a connect() that resolves to an open resource changes no count and closes nothing", async () => {
  const shared = new Ticket();
  const connector = roundRobin(() => shared, () => shared);
  await using pool = new Pool(connector);
  using lease = await pool.acquire();
  await assertRejects(
    () => pool.acquire(),
    Error,
    "connect() of connectors[1] gave what is open already",
  );
  assertEquals(connector.endpoints.map(({ open }) => open), [1, 0]);
  assertStrictEquals(lease.value, shared);
  assertEquals(shared.closes, 0);
  lease.discard();
  using next = await pool.acquire();
  assertEquals([next.value.closes, connector.endpoints.map(({ open }) => open)], [1, [1, 0]]);
});

Deno.test("endpoints: a detached resource is not counted and not closed", async () => {
  await using site = Site.up();
  const connector = roundRobin(site.connector, () => new Ticket());
  const pool = new Pool(connector);
  const leases = [await pool.acquire(), await pool.acquire()];
  assertEquals(connector.endpoints.map(({ open }) => open), [1, 1]);
  const resources = leases.map((lease) => lease.detach());
  assertEquals(connector.endpoints.map(({ open }) => open), [0, 0]);
  await pool.close();
  const [socket, ticket] = resources as [Socket<Deno.NetAddr>, Ticket];
  assertEquals([await roundTrip(socket, "ping"), ticket.closes], ["ping", 0]);
  socket.close();
});

Deno.test("endpoints: a resource of none of the endpoints is refused", () => {
  const connector = roundRobin(tcp({ port: 1 }), () => 5);
  for (const stranger of [{}, 5, undefined] as never[]) {
    assertThrows(
      () => connector.close!(stranger, "closed"),
      TypeError,
      "None of the endpoints has opened",
    );
    assertThrows(() => connector.isBroken!(stranger), TypeError, "None of the endpoints");
  }
});

Deno.test("endpoints: a copy of a group with an overridden method works", async () => {
  await using site = Site.up();
  const connector = failover(site.connector, () => Promise.reject(new Error("unused")));
  const greeting = {
    ...connector,
    connect: async (context: { signal: AbortSignal }) => {
      const socket = await connector.connect(contextOf(context.signal));
      assertEquals(await roundTrip(socket, "hello"), "hello");
      return socket;
    },
  };
  await using pool = new Pool(greeting, { maxSize: 1 });
  assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
  assertEquals(await pool.use((conn) => roundTrip(conn, "pong")), "pong");
  assertEquals([site.accepts, pool.stats.idle], [1, 1]);
});

Deno.test("endpoints: stale sockets are known by the connector that opened them", async () => {
  await using site = Site.up(async (peer, bytes) => {
    await peer.write(bytes);
    peer.close();
  });
  await using pool = new Pool(roundRobin(site.connector), { maxSize: 1 });
  const options = { retryStale: true };
  for (const text of ["one", "two", "three"]) {
    assertEquals(await pool.use((conn) => roundTrip(conn, text), options), text);
  }
  assertEquals(site.accepts, 3);
});

Deno.test("endpoints: the lingering dials of a group are the sum of its members'", () => {
  const member = (lingering?: number): Connector<object> => ({
    connect: () => ({}),
    ...(lingering !== undefined && { lingering: () => lingering }),
  });
  const connector = failover(roundRobin(member(2), member()), member(3));
  assertEquals(connector.lingering?.(), 5);
  assertEquals(new Pool(connector).stats.lingering, 5);
});

Deno.test("endpoints: an error that is not retryable goes on to the next endpoint", async () => {
  await using site = Site.up();
  const error = new Deno.errors.InvalidData("invalid peer certificate: UnknownIssuer");
  const bad = { ...tcp({ port: 1 }), name: "bad", connect: () => Promise.reject(error) };
  const connector = failover(bad, site.connector);
  await using pool = new Pool(connector);
  assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
  assertStrictEquals(connector.endpoints[0]!.error, error);
});

Deno.test("endpoints: the pool retries if one of the errors is retryable", async () => {
  const failing = (error: Error) => ({ ...tcp({ port: 1 }), connect: () => Promise.reject(error) });
  const final = failing(new Deno.errors.InvalidData("invalid peer certificate"));
  const passing = failing(new Deno.errors.ConnectionRefused("refused"));
  const unsure = {
    connect: () => Promise.reject(new Error("x")),
    isRetryable: () => {
      throw new Error("I don't know");
    },
  };
  const retry = { attempts: 3, minDelay: 1 };
  const cases = [
    [failover(final, { ...final }), 1],
    [failover(final, passing), 3],
    [roundRobin(roundRobin(final), unsure), 1],
    [roundRobin(roundRobin(passing), final), 3],
    [failover(() => Promise.reject(new Error("any"))), 3],
  ] as const;
  for (const [connector, dials] of cases) {
    await using pool = new Pool<unknown>(connector, { retry });
    await assertRejects(() => pool.acquire(), AggregateError);
    assertEquals(pool.stats.dials.failed, dials);
  }
});

Deno.test("endpoints: any thrown value is reported unchanged", async () => {
  const nothing = Object.create(null);
  const connector = failover(
    () => {
      throw new TypeError("at once");
    },
    () => Promise.reject(undefined),
    () => Promise.reject("later"),
    () => Promise.reject(nothing),
  );
  const error = await assertRejects(
    async () => await connector.connect(contextOf(context.signal)),
    AggregateError,
  );
  assertEquals(error.errors.slice(1), [undefined, "later", nothing]);
  assertEquals(
    error.message,
    "No endpoint could be reached: connectors[0] (TypeError: at once), connectors[1] (undefined), " +
      'connectors[2] ("later"), connectors[3] (object)',
  );
});

Deno.test("endpoints: a group of mixed kinds has leases of either type", () => {
  type Of<C> = C extends Connector<infer T, infer L> ? { resource: T; lease: L } : never;
  type Tcp = SocketLease<Deno.NetAddr>;
  type Unix = SocketLease<Deno.UnixAddr>;
  const check = <Expected>(_is: (given: Expected) => Expected) => {};
  const mixed = roundRobin(tcp({ port: 1 }), unix({ path: "x" }));
  check<Of<typeof mixed>["lease"]>((lease: Tcp | Unix): Tcp | Unix => lease);
  const nested = failover([roundRobin(tcp({ port: 1 }), tcp({ port: 2 })), unix({ path: "x" })]);
  check<Of<typeof nested>["lease"]>((lease: Tcp | Unix): Tcp | Unix => lease);
  const plain = roundRobin(() => 1, { connect: () => Promise.resolve("a") });
  check<Of<typeof plain>["resource"]>((value: number | string): number | string => value);
  check<Of<typeof plain>["lease"]>((
    lease: Lease<number> | Lease<string>,
  ): Lease<number> | Lease<string> => lease);
  const conn = (lease: Of<typeof mixed>["lease"]): Deno.Conn => lease;
  assert(conn);
});

Deno.test("endpoints: invalid options are refused when a group is created", () => {
  const one = tcp({ port: 1 });
  const wrong = roundRobin as unknown as (...given: unknown[]) => unknown;
  const cases: [unknown[], typeof TypeError | typeof RangeError, string][] = [
    [[], RangeError, "'connectors' must not be empty"],
    [[[]], RangeError, "'connectors' must not be empty"],
    [
      [one, one],
      TypeError,
      "'connectors[1]' must be a connector of its own: received 'connectors[0]' again",
    ],
    [
      [one, undefined],
      TypeError,
      "'connectors[1]' must be a function or an object with a connect() method: received undefined",
    ],
    [
      [null],
      TypeError,
      "'connectors[0]' must be a function or an object with a connect() method: received null",
    ],
    [
      [one, { minDelay: 5 }],
      TypeError,
      "'connectors[1]' must be a function or an object with a connect() method: received Object",
    ],
    [
      [[{ connect() {}, check: 5 }]],
      TypeError,
      "the connectors[0]'s 'check' must be a function: received 5",
    ],
    [[[one], null], TypeError, "'options' must be an object: received null"],
    [
      [[one], { delay: 1 }],
      TypeError,
      "'delay' is not an option: received 1; the options are minDelay, maxDelay, attemptDelay, clock",
    ],
    [
      [[one], { minDelay: -1 }],
      RangeError,
      "'minDelay' must be a number of milliseconds of at least 0: received -1",
    ],
    [
      [[one], { minDelay: "5" }],
      TypeError,
      "'minDelay' must be a number of milliseconds of at least 0: received \"5\"",
    ],
    [
      [[one], { maxDelay: NaN }],
      RangeError,
      "'maxDelay' must be a number of milliseconds of at least 0: received NaN",
    ],
    [
      [[one], { minDelay: 9, maxDelay: 8 }],
      RangeError,
      "'maxDelay' must be at least 'minDelay' (9): received 8",
    ],
    [
      [[one], { attemptDelay: 0 }],
      RangeError,
      "'attemptDelay' must be a number of milliseconds greater than 0: received 0",
    ],
    [
      [[one], { clock: 5 }],
      TypeError,
      "'clock' must be an object with a now() method: received 5",
    ],
  ];
  for (const [given, error, message] of cases) {
    const thrown = assertThrows(() => wrong(...given), error);
    assertEquals(thrown.message, `Cannot create a roundRobin connector as ${message}`);
  }
  failover([one], { minDelay: 60_000 });
});
