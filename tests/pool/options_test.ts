import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  type Connector,
  KeyedPool,
  Pool,
  type PoolOptions,
  Semaphore,
  tcp,
  tls,
  unix,
} from "../../mod.ts";
import { microtasks, Outcome } from "../support/scene.ts";

type ErrorType = typeof RangeError | typeof TypeError;
/** An invalid value, the error's class, and how the value is shown. */
type Bad = readonly [value: unknown, error: ErrorType, shown: string];

const NOT_NUMBERS: readonly Bad[] = [
  ["3", TypeError, '"3"'],
  ["", TypeError, '""'],
  [null, TypeError, "null"],
  [true, TypeError, "true"],
  [{}, TypeError, "Object"],
  [[1], TypeError, "Array"],
  [3n, TypeError, "3"],
  [() => 3, TypeError, "a function"],
];
const NOT_TIMES: readonly Bad[] = [
  ...NOT_NUMBERS,
  [NaN, RangeError, "NaN"],
  [-1, RangeError, "-1"],
  [-Infinity, RangeError, "-Infinity"],
];
const NOT_POSITIVE: readonly Bad[] = [...NOT_TIMES, [0, RangeError, "0"]];
const NOT_COUNTS: readonly Bad[] = [...NOT_TIMES, [1.5, RangeError, "1.5"]];
const NOT_ONE_OR_MORE: readonly Bad[] = [...NOT_COUNTS, [0, RangeError, "0"]];
const NOT_FINITE_COUNTS: readonly Bad[] = [...NOT_COUNTS, [Infinity, RangeError, "Infinity"]];
const NOT_SHARES: readonly Bad[] = [...NOT_TIMES, [1.01, RangeError, "1.01"]];
const NOT_FLAGS: readonly Bad[] = [
  [1, TypeError, "1"],
  ["yes", TypeError, '"yes"'],
  [null, TypeError, "null"],
];
const NOT_FUNCTIONS: readonly Bad[] = [[3, TypeError, "3"], [null, TypeError, "null"]];
const NOT_OBJECTS: readonly Bad[] = [
  [3, TypeError, "3"],
  ["x", TypeError, '"x"'],
  [null, TypeError, "null"],
  [[], TypeError, "Array"],
];
const NOT_SIGNALS: readonly Bad[] = [
  [3, TypeError, "3"],
  [null, TypeError, "null"],
  [new AbortController(), TypeError, "AbortController"],
];
const NOT_NAMES: readonly Bad[] = [
  [3, TypeError, "3"],
  ["", TypeError, '""'],
  [null, TypeError, "null"],
];

const POOL: Record<keyof PoolOptions, readonly Bad[]> = {
  maxSize: NOT_ONE_OR_MORE,
  minIdle: NOT_FINITE_COUNTS,
  maxIdle: NOT_COUNTS,
  maxWaiting: NOT_COUNTS,
  maxConnecting: NOT_ONE_OR_MORE,
  maxUses: NOT_ONE_OR_MORE,
  acquireTimeout: NOT_TIMES,
  connectTimeout: NOT_POSITIVE,
  idleTimeout: NOT_TIMES,
  maxLifetime: NOT_TIMES,
  lifetimeJitter: NOT_SHARES,
  checkAfter: NOT_TIMES,
  checkTimeout: NOT_POSITIVE,
  order: [["lilo", RangeError, '"lilo"'], [3, TypeError, "3"], [null, TypeError, "null"]],
  retry: NOT_OBJECTS,
  name: NOT_NAMES,
  track: NOT_FLAGS,
  leakTimeout: NOT_POSITIVE,
  keepalive: NOT_POSITIVE,
  overload: NOT_OBJECTS,
  hooks: NOT_OBJECTS,
  clock: [...NOT_OBJECTS, [{ now: () => 0 }, TypeError, "Object"]],
};
const RETRY = {
  attempts: NOT_ONE_OR_MORE,
  minDelay: NOT_TIMES,
  maxDelay: NOT_TIMES,
};
const HOOKS = {
  onConnect: NOT_FUNCTIONS,
  onAcquire: NOT_FUNCTIONS,
  onRelease: NOT_FUNCTIONS,
  onRetire: NOT_FUNCTIONS,
  onReject: NOT_FUNCTIONS,
  onLeak: NOT_FUNCTIONS,
  onError: NOT_FUNCTIONS,
};
const NOT_PRIORITIES: readonly Bad[] = [
  [1.5, RangeError, "1.5"],
  [1_001, RangeError, "1001"],
  ["high", TypeError, '"high"'],
];
const ACQUIRE = {
  signal: NOT_SIGNALS,
  timeout: NOT_TIMES,
  fresh: NOT_FLAGS,
  priority: NOT_PRIORITIES,
};
const USE = { ...ACQUIRE, retryStale: NOT_FLAGS, deadline: NOT_POSITIVE };
const CLOSE = {
  timeout: NOT_TIMES,
  force: NOT_FLAGS,
  signal: NOT_SIGNALS,
  waiters: [["all", RangeError, '"all"']] as readonly Bad[],
};
const NOT_PORTS: readonly Bad[] = [
  ...NOT_ONE_OR_MORE,
  [65_536, RangeError, "65536"],
  [undefined, TypeError, "undefined"],
];
const TCP = {
  port: NOT_PORTS,
  hostname: NOT_NAMES,
  noDelay: NOT_FLAGS,
  keepAlive: NOT_FLAGS,
  autoSelectFamily: NOT_FLAGS,
  autoSelectFamilyAttemptDelay: NOT_TIMES,
  ioTimeout: NOT_POSITIVE,
};
const UNIX = {
  path: [...NOT_NAMES, [undefined, TypeError, "undefined"]] as readonly Bad[],
  ioTimeout: NOT_POSITIVE,
};

type Use = (options: never) => unknown;

/** The error of a call, thrown or rejected. */
async function errorOf(call: Use, options: unknown): Promise<Error> {
  try {
    await call(options as never);
  } catch (error) {
    assert(error instanceof Error);
    return error;
  }
  throw new Error(`accepted ${Deno.inspect(options)}`);
}

/** Every bad value of every option gives an error that names the option and the value; so does an unknown option. */
async function assertRefused(
  call: Use,
  table: Record<string, readonly Bad[]>,
  base: object = {},
  prefix = "",
): Promise<void> {
  const wrap = (options: object) => prefix === "" ? options : { [prefix.slice(0, -1)]: options };
  for (const [name, values] of Object.entries(table)) {
    for (const [value, ErrorType, shown] of values) {
      const error = await errorOf(call, wrap({ ...base, [name]: value }));
      assertInstanceOf(error, ErrorType, `${name}: ${shown}: ${error}`);
      assertStringIncludes(error.message, `'${prefix}${name}'`);
      assertStringIncludes(error.message, `received ${shown}`);
    }
  }
  for (const name of ["colour", "toString", "constructor", "hasOwnProperty"]) {
    const unknown = await errorOf(call, wrap({ ...base, [name]: 3 }));
    assertInstanceOf(unknown, TypeError);
    assertStringIncludes(unknown.message, `'${prefix}${name}'`);
    assertStringIncludes(unknown.message, "received 3");
    assertStringIncludes(unknown.message, Object.keys(table)[0]!, "it says which there are");
  }
}

async function assertNoObject(call: Use): Promise<void> {
  for (const [value, ErrorType, shown] of NOT_OBJECTS) {
    const error = await errorOf(call, value);
    assertInstanceOf(error, ErrorType);
    assertStringIncludes(error.message, "'options'");
    assertStringIncludes(error.message, `received ${shown}`);
  }
}

function fails(): never {
  throw new Error("nothing may be opened");
}

Deno.test("a pool refuses every bad option, and names it", async () => {
  const create = (options: PoolOptions) => new Pool(fails, options);
  await assertRefused(create, POOL);
  await assertRefused(create, RETRY, {}, "retry.");
  await assertRefused(create, HOOKS, {}, "hooks.");
  await assertNoObject(create);
});

Deno.test("a pool refuses options that contradict one another", () => {
  const cases: [PoolOptions, string[]][] = [
    [{ minIdle: 3, maxSize: 2 }, ["'maxSize'", "'minIdle'", "3", "received 2"]],
    [{ minIdle: 11 }, ["'maxSize'", "'minIdle'", "11", "received 10"]],
    [{ minIdle: 3, maxIdle: 2 }, ["'maxIdle'", "'minIdle'", "3", "received 2"]],
    [{ retry: { minDelay: 10, maxDelay: 9 } }, ["'retry.maxDelay'", "10", "received 9"]],
    [{ retry: { minDelay: 5_001, maxDelay: 5_000 } }, ["'retry.maxDelay'", "5001", "5000"]],
  ];
  for (const [options, parts] of cases) {
    const error = assertThrows(() => new Pool(fails, options), RangeError);
    for (const part of parts) assertStringIncludes(error.message, part);
  }
});

Deno.test("a pool takes every option at the ends of its range, and undefined as not given", async () => {
  const ends: PoolOptions[] = [
    { maxSize: 1, maxIdle: 0, maxWaiting: 0, maxConnecting: 1, maxUses: 1 },
    {
      maxSize: Infinity,
      maxIdle: Infinity,
      maxWaiting: Infinity,
      maxConnecting: Infinity,
      maxUses: Infinity,
    },
    { acquireTimeout: 0, connectTimeout: 0.5, idleTimeout: 0, maxLifetime: 0, checkAfter: 0 },
    {
      acquireTimeout: Infinity,
      connectTimeout: Infinity,
      idleTimeout: Infinity,
      maxLifetime: Infinity,
      checkAfter: Infinity,
      checkTimeout: Infinity,
    },
    { lifetimeJitter: 0, order: "fifo", retry: {}, hooks: {} },
    { lifetimeJitter: 1, order: "lifo", retry: { attempts: Infinity, minDelay: 0, maxDelay: 0 } },
    Object.fromEntries(Object.keys(POOL).map((name) => [name, undefined])),
    { retry: undefinedOf(RETRY), hooks: undefinedOf(HOOKS) },
  ];
  for (const options of ends) {
    await using pool = new Pool(() => ({}), options);
    using lease = await pool.acquire();
    assert(lease.value);
    assertEquals(pool.stats.maxSize, options.maxSize ?? 10);
  }
});

function undefinedOf(table: object): Record<string, never> {
  return Object.fromEntries(Object.keys(table).map((name) => [name, undefined as never]));
}

Deno.test("acquire rejects every bad option, which costs no slot", async () => {
  await using pool = new Pool(() => ({}), { maxSize: 1 });
  for (const held of [false, true]) {
    const lease = held ? await pool.acquire() : undefined;
    await assertRefused((options) => pool.acquire(options), ACQUIRE);
    await assertNoObject((options) => pool.acquire(options));
    assertEquals([pool.stats.size, pool.stats.waiting], held ? [1, 0] : [0, 0]);
    lease?.release();
    await microtasks();
    assertEquals(pool.stats.leased, 0);
  }
  using _lease = await pool.acquire(undefinedOf(ACQUIRE));
});

Deno.test("an object that only resembles a signal is rejected wherever a signal is taken", async () => {
  const signal = { aborted: false } as AbortSignal;
  await using pool = new Pool(() => ({}), { maxSize: 1 });
  const semaphore = new Semaphore(1);
  for (const _held of [false, true]) {
    await assertRejects(() => pool.acquire({ signal }), TypeError, "'signal'");
    await assertRejects(() => pool.use(() => {}, { signal }), TypeError, "'signal'");
    await assertRejects(() => semaphore.acquire({ signal }), TypeError, "'signal'");
    await assertRejects(() => pool.close({ signal }), TypeError, "'signal'");
    assertEquals([pool.stats.size, pool.stats.waiting, semaphore.waiting], [0, 0, 0]);
    semaphore.tryAcquire();
  }
});

Deno.test("use refuses every bad option, and does not call its body", async () => {
  await using pool = new Pool(fails);
  await assertRefused((options) => pool.use(fails, options), USE);
  await assertNoObject((options) => pool.use(fails, options));
  assertEquals(pool.stats.dials.failed, 0);
});

Deno.test("use takes undefined as not given", async () => {
  await using pool = new Pool(() => 5);
  assertEquals(await pool.use((lease) => lease.value, undefinedOf(USE)), 5);
});

Deno.test("use rejects a body that is no function, and opens nothing", async () => {
  await using pool = new Pool(() => ({}));
  await assertRejects(() => pool.use(3 as unknown as () => void), TypeError, "body");
  assertEquals([pool.stats.dials.ok, pool.stats.size], [0, 0]);
});

Deno.test("close refuses every bad option, and leaves the pool open", async () => {
  await using pool = new Pool(() => ({}));
  await assertRefused((options) => pool.close(options), CLOSE);
  await assertNoObject((options) => pool.close(options));
  assertEquals(pool.closed, false);
  await pool.close(undefinedOf(CLOSE));
});

Deno.test("a bad option of acquire causes a rejection, never a throw", async () => {
  await using pool = new Pool(() => ({}));
  const rejected = pool.acquire({ timeout: -1 });
  const closed = pool.close({ timeout: -1 });
  const used = pool.use(() => {}, { timeout: -1 });
  const warmed = pool.warm(-1);
  for (const promise of [rejected, closed, used, warmed]) {
    const outcome = new Outcome<unknown>(promise);
    await microtasks();
    assertInstanceOf(outcome.error, RangeError);
  }
});

Deno.test("warm rejects an invalid count", async () => {
  await using pool = new Pool(fails, { minIdle: 0 });
  await assertBad(NOT_FINITE_COUNTS, "'count'", (count) => pool.warm(count));
  assertEquals(await pool.warm(0), 0);
  assertEquals(await pool.warm(undefined), 0);
});

Deno.test("resize rejects an invalid size, or one smaller than minIdle, and changes nothing", async () => {
  await using pool = new Pool(() => ({}), { maxSize: 3, minIdle: 2 });
  await assertBad(NOT_ONE_OR_MORE, "'maxSize'", (maxSize) => pool.resize(maxSize));
  await assertBad([[1, RangeError, "1"]], "'minIdle'", (maxSize) => pool.resize(maxSize));
  await assertBad([[undefined, TypeError, "undefined"]], "'maxSize'", (each) => pool.resize(each));
  assertEquals(pool.stats.maxSize, 3);
});

/** Every bad value of an argument gives an error that names the argument and the value. */
async function assertBad(values: readonly Bad[], name: string, call: Use): Promise<void> {
  for (const [value, ErrorType, shown] of values) {
    const error = await errorOf(call, value);
    assertInstanceOf(error, ErrorType);
    assertStringIncludes(error.message, name);
    assertStringIncludes(error.message, `received ${shown}`);
  }
}

/** Bad values except functions, which connectors call at each dial. */
function withoutFunctions(options: Record<string, readonly Bad[]>): Record<string, readonly Bad[]> {
  return Object.fromEntries(
    Object.entries(options).map((
      [name, values],
    ) => [name, values.filter(([value]) => typeof value !== "function")]),
  );
}

Deno.test("tcp refuses every bad option, and names it", async () => {
  await assertRefused((options) => tcp(options), withoutFunctions(TCP), { port: 80 });
  await assertNoObject((options) => tcp(options));
  assertThrows(() => tcp({} as { port: number }), TypeError, "'port'");
  for (const port of [1, 65_535]) assert(tcp({ ...undefinedOf(TCP), port, ioTimeout: Infinity }));
});

Deno.test("unix refuses every bad option, and names it", async () => {
  await assertRefused((options) => unix(options), UNIX, { path: "/tmp/x" });
  await assertNoObject((options) => unix(options));
  assertThrows(() => unix({} as { path: string }), TypeError, "'path'");
});

Deno.test("readUntil refuses every bad option, and the lease can still be used", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepted = listener.accept();
  await using pool = new Pool(tcp({ port: listener.addr.port }));
  using conn = await pool.acquire();
  using peer = await accepted;
  await peer.write(new TextEncoder().encode("reply\n"));
  await peer.closeWrite(); // ends a read that should not have begun
  const limit = { limit: NOT_ONE_OR_MORE };
  await assertRefused((options) => conn.readUntil("\n", options), limit);
  await assertNoObject((options) => conn.readUntil("\n", options));
  await assertRejects(() => conn.readUntil(""), RangeError, "'delimiter'");
  const reply = await conn.readUntil("\n", undefinedOf(limit));
  assertEquals(new TextDecoder().decode(reply), "reply\n");
  await assertRejects(() => conn.readUntil(3 as unknown as string), TypeError, "'delimiter'");
});

Deno.test("a pool rejects an invalid connector", () => {
  const bad: [unknown, string][] = [
    [undefined, "undefined"],
    [null, "null"],
    [3, "3"],
    ["tcp", '"tcp"'],
    [{}, "Object"],
    [{ connect: 3 }, "Object"],
  ];
  for (const [connector, shown] of bad) {
    const create = () => new Pool(connector as () => unknown);
    const error = assertThrows(create, TypeError, "'connector'");
    assertStringIncludes(error.message, `received ${shown}`);
  }
});

Deno.test("a pool refuses a connector with a method that is no function, and names it", () => {
  const methods: (keyof Connector<unknown>)[] = [
    "close",
    "check",
    "reset",
    "isBroken",
    "isRetryable",
    "isStale",
    "lease",
    "watch",
    "probe",
    "unwatch",
  ];
  for (const method of methods) {
    const create = (value: unknown) => () => new Pool({ connect: fails, [method]: value });
    const error = assertThrows(create("later"), TypeError, `'${method}'`);
    assertStringIncludes(error.message, `received "later"`);
    assertThrows(create(null), TypeError, "received null");
    create(undefined)();
  }
});

Deno.test("a pool does not change its options object, and later changes to it have no effect", async () => {
  const options: PoolOptions = Object.freeze({ maxSize: 2, retry: Object.freeze({ attempts: 2 }) });
  await using pool = new Pool(() => ({}), options);
  const given: PoolOptions = { maxSize: 2 };
  await using other = new Pool(() => ({}), given);
  given.maxSize = 5;
  assertEquals([pool.stats.maxSize, other.stats.maxSize], [2, 2]);
});

Deno.test("tcp(), tls() and unix() take the address of a listener, and refuse another transport", () => {
  const host: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  const place: Deno.UnixAddr = { transport: "unix", path: "/tmp/x" };
  for (const connect of [tcp, tls]) {
    connect({ ...host });
    assertThrows(() => connect({ ...host, transport: "udp" }), RangeError, "'transport'");
  }
  unix({ ...place });
  assertThrows(() => unix({ ...place, transport: "unixpacket" }), RangeError, "'transport'");
});

Deno.test("a clock's methods are called as methods", async () => {
  class StandingClock {
    readonly #time = 5;
    now() {
      return this.#time;
    }
    wall() {
      return this.#time;
    }
  }
  const options = { clock: new StandingClock(), retry: { attempts: 2, minDelay: 0 } };
  let dials = 0;
  const connect = () => {
    if (dials++ === 0) throw new Error("the first dial fails");
    return {};
  };
  await using pool = new Pool(connect, options);
  await using keyed = new KeyedPool(() => connect, options);
  (await pool.acquire()).release();
  (await keyed.acquire("key")).release();
  assertEquals([pool.stats.idle, keyed.stats.idle], [1, 1]);
});
