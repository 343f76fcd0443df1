import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Connector, failover, Pool, roundRobin, tcp } from "../../mod.ts";
import { microtasks, Outcome } from "../support/scene.ts";
import { unusedPort } from "../support/echo_server.ts";
import { Stage } from "../support/endpoint_stage.ts";
import { contextOf } from "../support/connect_context.ts";

const { signal } = new AbortController();

class Unprintable extends Error {
  override get message(): string {
    throw new Error("no message");
  }
}

/** Values that cannot be converted to text but may be thrown, and how messages show them. */
const ODD: [unknown, string][] = [
  [Symbol("down"), "Symbol(down)"],
  [Object.create(null), "object"],
  [{
    toString() {
      throw new Error("no text");
    },
  }, "Object"],
  [new Unprintable(), "an error that can't be shown (object)"],
  [{
    get constructor() {
      throw new Error("no class");
    },
  }, "object"],
  [undefined, "undefined"],
  [12n, "12"],
  [
    new Proxy(new Error("x"), {
      getPrototypeOf() {
        throw new Error("no prototype");
      },
    }),
    "Error",
  ],
];

const members = ["admit", "connect", "init"] as const;

/** A connector with one member that fails. */
function failing(member: typeof members[number], fail: () => never): Connector<object> {
  return { connect: () => ({}), close() {}, [member]: fail };
}

Deno.test("endpoints: an error without a text is reported like any other, and the next endpoint is dialled", async () => {
  for (const [odd, text] of ODD) {
    for (const combine of [roundRobin, failover]) {
      for (const member of members) {
        const connector = combine(
          failing(member, () => {
            throw odd;
          }),
          failing(member, (() => Promise.reject(odd)) as unknown as () => never),
        );
        const dial = new Outcome((async () => await connector.connect(contextOf(signal)))());
        await microtasks();
        assert(dial.error instanceof AggregateError, `${member}: ${text}: ${dial.state}`);
        assertEquals(dial.error.errors, [odd, odd]);
        assertEquals(
          dial.error.message,
          `No endpoint could be reached: connectors[0] (${text}), connectors[1] (${text})`,
        );
        const next = combine(
          failing(member, () => {
            throw odd;
          }),
          () => ({ fit: true }),
        );
        assertEquals(await next.connect(contextOf(signal)), { fit: true });
      }
    }
  }
});

Deno.test("endpoints: a caller of a pool gets an error without a text", async () => {
  for (const [odd] of ODD) {
    await using pool = new Pool(roundRobin(failing("connect", () => {
      throw odd;
    })));
    const error = await assertRejects(() => pool.acquire(), AggregateError);
    assertEquals([error.errors, pool.stats.size], [[odd], 0]);
  }
});

Deno.test("endpoints: a dial that is aborted for a reason without a text rejects with it", async () => {
  for (const [odd] of ODD) {
    using stage = new Stage(failover);
    stage.a.script.connect = "never";
    const controller = new AbortController();
    const dial = stage.dial(controller);
    await microtasks();
    controller.abort(odd);
    stage.a.last("connect").fail();
    await microtasks();
    assertEquals([dial.state, stage.up], ["rejected", [true, true, true]]);
  }
});

Deno.test("endpoints: the error names each place in one line", async () => {
  const port = unusedPort();
  const connector = failover(
    tcp({ port }),
    {
      place: "tcp://db\n\x1b[31m:1",
      connect: () => Promise.reject(new Error("first\nsecond\u2028third")),
    },
    {
      place: "test:named",
      connect: () => Promise.reject(new Error("cannot reach test:named: refused")),
    },
    { place: "f", connect: () => Promise.reject(new Error("refused")) },
    () => Promise.reject("a\u009bb"),
  );
  const dial = async () => await connector.connect(contextOf(signal));
  const { message } = await assertRejects(dial, AggregateError);
  // deno-lint-ignore no-control-regex
  assertEquals(message.match(/[\x00-\x1f\x7f-\x9f\u2028]/), null);
  assert(message.includes(`tcp://127.0.0.1:${port}`), message);
  assert(message.includes("tcp://db\\n\\u001b[31m:1 (Error: first\\nsecond\\u2028third)"), message);
  assert(
    message.includes(", Error: cannot reach test:named: refused, f (Error: refused), "),
    message,
  );
  assertEquals(connector.endpoints[1]!.name, "tcp://db\\n\\u001b[31m:1");
  assert(connector.place!.startsWith("failover(tcp://127.0.0.1:"));
});

Deno.test("endpoints: a `place` that throws or is no string is ignored", () => {
  const broken = {
    get place(): string {
      throw new Error("nowhere");
    },
    connect: () => 1,
  };
  const nameless = [broken, { place: "", connect: () => 1 }, { place: 5, connect: () => 1 }];
  const connector = roundRobin(nameless as Connector<number>[]);
  assertEquals(
    connector.endpoints.map(({ name }) => name),
    ["connectors[0]", "connectors[1]", "connectors[2]"],
  );
});

Deno.test("endpoints: asynchronous functions in place of synchronous members lose no resource", async () => {
  const reject = () => Promise.reject(new Error("not asynchronous"));
  const closed: object[] = [];
  const odd = {
    connect: () => ({}),
    close: (resource: object) => void closed.push(resource),
    isBroken: reject,
    isRetryable: reject,
    lingering: reject,
  } as unknown as Connector<object>;
  const connector = failover({ ...odd });
  const resource = await connector.connect(contextOf(signal));
  connector.close!(resource, "closed");
  assertEquals([closed, connector.endpoints[0]!.open], [[resource], 0]);
  assertEquals(connector.lingering!(), 0);

  const down = failover({ ...odd, connect: () => Promise.reject(new Error("refused")) });
  const dial = async () => await down.connect(contextOf(signal));
  assert(!down.isRetryable!(await assertRejects(dial, AggregateError)), "as a pool takes it");
});

Deno.test("endpoints: a member whose getter throws fails the dial, and no dial hangs", async () => {
  for (const member of members) {
    let isGone = false;
    const connector = failover(
      Object.defineProperty({ connect: () => ({}), close() {} }, member, {
        get() {
          if (isGone) throw new Error("gone");
          return () => ({ release() {} });
        },
      }),
    );
    assert(await connector.connect(contextOf(signal)));
    isGone = true;
    const dial = new Outcome((async () => await connector.connect(contextOf(signal)))());
    await microtasks();
    assert(dial.error instanceof AggregateError, `${member}: ${dial.state}`);
    assertEquals(connector.endpoints.map(({ open, connecting }) => [open, connecting]), [[1, 0]]);
  }
});

Deno.test("endpoints: an invalid count of lingering dials is ignored", () => {
  const counting = (lingering: () => unknown) =>
    ({ connect: () => ({}), lingering }) as Connector<object>;
  const connector = roundRobin(
    counting(() => 2),
    counting(() => NaN),
    counting(() => "3"),
    counting(() => {
      throw new Error("lost count");
    }),
    counting(() => 1),
  );
  assertEquals(connector.lingering!(), 3);
});

Deno.test("endpoints: an error of close() reaches the pool, and the count of open resources is right", async () => {
  const error = new Error("would not close");
  const connector = roundRobin({
    connect: () => ({}),
    isBroken: (): boolean => {
      throw error;
    },
    close: () => {
      throw error;
    },
  });
  const resource = await connector.connect(contextOf(signal));
  assertThrows(() => connector.close!(resource, "closed"), Error, "would not close");
  assertEquals(connector.endpoints[0]!.open, 0);
});

Deno.test("endpoints: an invalid clock, or one that throws, stops no dial", async () => {
  const clocks = [
    () => NaN,
    () => Symbol("noon"),
    () => {
      throw new Error("stopped");
    },
  ];
  for (const now of clocks) {
    const connector = roundRobin(
      [() => Promise.reject(new Error("refused")), () => ({ fit: true })],
      { clock: { now } as { now(): number } },
    );
    assertEquals(await connector.connect(contextOf(signal)), { fit: true });
    assertEquals(connector.endpoints.map(({ up }) => up), [false, true]);
  }
});

Deno.test("endpoints: an invalid connector is refused by name, with the received value", () => {
  const wrong = roundRobin as unknown as (...given: unknown[]) => unknown;
  const classless = {
    get constructor() {
      throw new Error("no class");
    },
  };
  const cases: [unknown[], string, string][] = [
    [[NaN], "connectors[0]", "NaN"],
    [[[NaN, NaN]], "connectors[0]", "NaN"],
    [[classless], "connectors[0]", "object"],
    [[Object.create(null)], "connectors[0]", "object"],
    [[Symbol("s")], "connectors[0]", "Symbol(s)"],
    [[() => 1, "a text"], "connectors[1]", '"a text"'],
    [[[() => 1, , () => 2]], "connectors[1]", "undefined"],
    [[() => 1, [() => 2]], "connectors[1]", "Array"],
  ];
  for (const [given, name, received] of cases) {
    const { message } = assertThrows(() => wrong(...given), TypeError);
    assertEquals(
      message,
      `Cannot create a roundRobin connector as '${name}' must be a function or an object ` +
        `with a connect() method: received ${received}`,
    );
  }
  assertThrows(
    () => wrong([() => 1], { minDelay: classless }),
    TypeError,
    "Cannot create a roundRobin connector as 'minDelay' must be a number of milliseconds " +
      "of at least 0: received object",
  );
});

Deno.test("endpoints: an inherited property of Object is no option and no method", async () => {
  const polluted = Object.prototype as unknown as Record<string, unknown>;
  polluted.stray = 5;
  try {
    const connector = roundRobin([() => ({ fit: true })], { minDelay: 5 });
    assertEquals(await connector.connect(contextOf(signal)), { fit: true });
    assertEquals(failover(() => 1, { connect: () => 2 }).endpoints.length, 2);
  } finally {
    delete polluted.stray;
  }
});

Deno.test("endpoints: the error about a duplicate string does not show the string", async () => {
  const connector = roundRobin(() => "secret token", () => "secret token");
  assertEquals(await connector.connect(contextOf(signal)), "secret token");
  const dial = async () => await connector.connect(contextOf(signal));
  const { message } = await assertRejects(dial, TypeError);
  assertEquals(
    message,
    "Cannot pool a string as another endpoint has opened the same: only objects can be told apart",
  );
});
