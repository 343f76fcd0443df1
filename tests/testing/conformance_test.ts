import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { type Connector, Lease, type LeaseSlot, type WatchContext } from "../../pool/authoring.ts";
import {
  ConformanceError,
  type ConnectorSubject,
  ScriptedConnector,
  testConnector,
} from "../../testing/mod.ts";

/** The resource of the connectors in these tests. */
class Line {
  broken = false;
  session: string | undefined;
  watcher: WatchContext | undefined;
}

/** The peer of the lines; it counts the open ones. */
class Exchange {
  readonly open = new Set<Line>();
  isSilent = false;

  dial(): Line {
    const line = new Line();
    this.open.add(line);
    return line;
  }
}

type Overrides = (exchange: Exchange) => Partial<Connector<Line>>;

const turn = () => new Promise<void>((resolve) => setTimeout(resolve));

const aborted = ({ signal }: { signal: AbortSignal }) =>
  new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason));
  });

/** A correct connector with overridden methods. */
function subjectOf(override: Overrides = () => ({})): ConnectorSubject<Line> {
  const exchange = new Exchange();
  const connector: Connector<Line> = {
    place: "exchange://lines",
    async connect(context) {
      await Promise.race([exchange.isSilent ? aborted(context) : turn(), aborted(context)]);
      return exchange.dial();
    },
    init: (line) => void (line.session = "open"),
    check: (line) => turn().then(() => !line.broken),
    reset: () => turn(),
    close: (line) => void exchange.open.delete(line),
    isBroken: (line) => line.broken,
    isRetryable: () => true,
    isFatal: () => true,
    isStale: () => false,
    watch: (line, context) => void (line.watcher = context),
    unwatch: (line) => void (line.watcher = undefined),
    ...override(exchange),
  };
  return {
    make: () => connector,
    open: () => exchange.open.size,
    use: async (lease) => {
      const line = lease instanceof ReachingLease ? lease.line : lease.value;
      await turn();
      if (line.broken) throw new Error("The line is dead");
    },
    break: (line) => {
      line.broken = true;
      line.watcher?.lost("hung up");
    },
    stall: () => {
      exchange.isSilent = true;
      return () => exchange.isSilent = false;
    },
    secrets: ["hunter2"],
    patience: 100,
  };
}

/** The messages of the scenarios that a connector fails. */
async function failures(subject: ConnectorSubject<Line>): Promise<Map<string, string>> {
  const failed = new Map<string, string>();
  for (const { name, missing, run } of testConnector(subject)) {
    assertEquals(missing, undefined);
    await run().catch((error) => {
      if (!(error instanceof ConformanceError)) throw error;
      failed.set(name, error.message);
    });
  }
  return failed;
}

Deno.test("a correct connector passes every scenario", async () => {
  assertEquals(await failures(subjectOf()), new Map());
});

Deno.test("a connector with connect() only passes every scenario that can run", async () => {
  for (const { missing, run } of testConnector({ make: () => ({ connect: () => ({}) }) })) {
    if (missing === undefined) await run();
  }
});

Deno.test("a connector that is a class instance passes: its methods are called as methods", async () => {
  for (const { missing, run } of testConnector({ make: () => new ScriptedConnector() })) {
    if (missing === undefined) await run();
  }
});

Deno.test("a missing requirement of a scenario is named", () => {
  const { make } = subjectOf();
  const missing = new Set(testConnector({ make }).map((scenario) => scenario.missing));
  assertEquals(missing, new Set([undefined, "use", "stall", "break"]));
});

const OPEN = "a resource is opened, lent, and closed once";
const OWN = "each dial gives a resource of its own";
const AGAIN = "a healthy resource is lent again, whatever calls come in between";
const ENDED = "an ended lease reaches nothing";
const ABORT = "a dial that is given up at any moment settles, and leaves nothing behind";
const STALL = "a dial without an answer ends at connectTimeout, and leaves nothing behind";
const INIT = "a resource whose init fails is closed";
const DETACH = "a detached resource is left alone";
const FORCE = "a forced close of the pool closes what is leased";
const IDLE = "an idle resource that has lost its other side is not lent for long";
const LEASED = "a leased resource that has lost its other side is not lent again";
const BROKEN = "a resource that has lost its other side can be closed";
const DISCARD = "a resource that its borrower discards is closed";
const STALE = "a resource that has answered its borrower is not stale";
const DECIDE = "isRetryable(), isFatal() and isStale() answer at once for any thrown value";
const PLACE = "its place is one line, without a secret";

class KeepingLease extends Lease<Line> {
  readonly #line: Line;

  constructor(slot: LeaseSlot<Line>) {
    super(slot);
    this.#line = slot.resource;
  }

  override get value(): Line {
    return this.#line;
  }
}

/** Its `value` ends with the lease, but what else it has does not. */
class ReachingLease extends Lease<Line> {
  readonly line: Line;

  constructor(slot: LeaseSlot<Line>) {
    super(slot);
    this.line = slot.resource;
  }
}

/** Ends another's lease too. */
class AgainLease extends Lease<Line> {
  readonly #slot: LeaseSlot<Line>;

  constructor(slot: LeaseSlot<Line>) {
    super(slot);
    this.#slot = slot;
  }

  override release(): void {
    if (this.ended) this.#slot.release();
    super.release();
  }
}

class DiscardingLease extends Lease<Line> {
  override detach(): Line {
    const { value } = this;
    this.discard();
    return value;
  }
}

class ReleasingLease extends Lease<Line> {
  override discard(): void {
    this.release();
  }
}

class ClosingLease extends Lease<Line> {
  #exchange: Exchange;

  constructor(slot: LeaseSlot<Line>, exchange: Exchange) {
    super(slot);
    this.#exchange = exchange;
  }

  override detach(): Line {
    const line = super.detach();
    this.#exchange.open.delete(line);
    return line;
  }
}

const never = () => new Promise<never>(() => {});
const boom = () => {
  throw new Error("boom");
};

/** Incorrect connectors, each with a scenario that it fails and the message. */
const wrong: Record<string, [Overrides, scenario: string, message: string]> = {
  "closes nothing": [
    () => ({ close: () => {} }),
    OPEN,
    "still open although the pool is closed: 1",
  ],
  "closes nothing under a borrower": [
    () => ({ close: () => {} }),
    FORCE,
    "a leased resource is open after a forced close of the pool: 1 more than before",
  ],
  "never finishes its close": [() => ({ close: never }), OPEN, "close() did not settle"],
  "fails to close": [() => ({ close: boom }), OPEN, "close() failed: Error: boom"],
  "gives the same resource to all": [
    (exchange) => {
      const line = exchange.dial();
      return { connect: () => line, close: () => {} };
    },
    OWN,
    "connect() gave what the pool already holds",
  ],
  "leaves a connection open when its dial is aborted": [
    (exchange) => ({
      async connect(context) {
        const line = exchange.dial();
        await Promise.race([turn(), aborted(context)]);
        return line;
      },
    }),
    ABORT,
    "something is still open although the pool is closed",
  ],
  "keeps the leave of dials that were given up": [
    () => {
      let left = 4;
      return {
        async admit(context) {
          if (left-- > 0) return { release() {}, [Symbol.dispose]() {} };
          return await aborted(context);
        },
      };
    },
    ABORT,
    "no resource can be used after dials were given up",
  ],
  "leaves a connection open when its dial has no answer": [
    (exchange) => ({
      connect(context) {
        const line = exchange.dial();
        return exchange.isSilent ? aborted(context) : line;
      },
    }),
    STALL,
    "something is still open although the pool is closed",
  ],
  "opens nothing more after a dial that had no answer": [
    (exchange) => {
      let isStuck = false;
      return {
        async connect(context) {
          isStuck ||= exchange.isSilent;
          await (isStuck ? aborted(context) : turn());
          return exchange.dial();
        },
      };
    },
    STALL,
    "no resource can be used after a dial without an answer",
  ],
  "fails by itself before the time limit": [
    (exchange) => ({
      connect: () => exchange.isSilent ? Promise.reject(new Error("no answer")) : exchange.dial(),
    }),
    STALL,
    "ended otherwise than by its time limit: Error: no answer",
  ],
  "cannot close what init has not finished": [
    (exchange) => ({
      init: () => Promise.reject(new Error("refused")),
      close: (line) => {
        exchange.open.delete(line);
        if (line.session === undefined) boom();
      },
    }),
    INIT,
    "acquire() did not reject with the error of init(): Error: refused",
  ],
  "needs a session to close": [
    (exchange) => ({
      init: undefined as never,
      close: (line) => {
        exchange.open.delete(line);
        if (line.session === undefined) boom();
      },
    }),
    INIT,
    "close() failed: Error: boom",
  ],
  "calls each resource broken": [() => ({ isBroken: () => true }), AGAIN, "retired, as 'broken'"],
  "refuses each resource in its check": [
    () => ({ check: () => false }),
    AGAIN,
    "retired, as 'unhealthy'",
  ],
  "fails to reset": [() => ({ reset: boom }), AGAIN, "retired, as 'reset'"],
  "loses what is well": [
    () => ({ watch: (_, { lost }) => void setTimeout(lost, 0, "nothing") }),
    AGAIN,
    `retired, as 'lost': "nothing"`,
  ],
  "gives up what has rested": [
    () => {
      const restingSince = new Map<Line, number>();
      return {
        watch: (line) => void restingSince.set(line, performance.now()),
        isBroken: (line) => performance.now() - (restingSince.get(line) ?? Infinity) > 10,
      };
    },
    AGAIN,
    "retired, as 'broken'",
  ],
  "loses what it probes": [
    () => ({ probe: () => Promise.reject(new Error("gone")) }),
    AGAIN,
    "retired, as 'lost': Error: gone",
  ],
  "unwatches in its own time": [
    () => ({ unwatch: () => turn() as never }),
    AGAIN,
    "unwatch() must not be asynchronous",
  ],
  "watches in its own time": [
    () => ({ watch: () => turn() as never }),
    AGAIN,
    "watch() must not be asynchronous",
  ],
  "makes leases that do not end": [
    () => ({ lease: (slot) => new KeepingLease(slot) }),
    ENDED,
    "the 'value' of a lease that has ended can still be reached",
  ],
  "makes leases that reach what they have given back": [
    () => ({ lease: (slot) => new ReachingLease(slot) }),
    ENDED,
    "a lease that has ended can still be used",
  ],
  "makes leases that end another's": [
    () => ({ lease: (slot) => new AgainLease(slot) }),
    ENDED,
    "a second release() of a lease ended another's lease",
  ],
  "makes leases that discard what is detached": [
    () => ({ lease: (slot) => new DiscardingLease(slot) }),
    DETACH,
    "a detached resource was closed through the pool",
  ],
  "makes leases that release what is discarded": [
    () => ({ lease: (slot) => new ReleasingLease(slot) }),
    DISCARD,
    "a resource that was discarded is lent again",
  ],
  "takes what has answered for stale": [
    () => ({ isStale: () => true }),
    STALE,
    "isStale() is true although a reply has come",
  ],
  "makes leases that are none": [
    () => ({ lease: (slot) => ({ value: slot.resource, release: () => slot.release() }) as never }),
    OPEN,
    "lease() must give a Lease",
  ],
  "closes what is detached": [
    (exchange) => ({ lease: (slot) => new ClosingLease(slot, exchange) }),
    DETACH,
    "a detached resource is not open any more",
  ],
  "does not look whether an idle resource is well": [
    () => ({ isBroken: () => false, check: () => true, watch: () => {} }),
    IDLE,
    "neither watch(), isBroken() nor check() has noticed",
  ],
  "does not look whether a used resource is well": [
    () => ({ isBroken: () => false }),
    LEASED,
    "isBroken() says it is well",
  ],
  "says goodbye to the dead": [
    (exchange) => ({
      close: (line) => line.broken ? never() : void exchange.open.delete(line),
    }),
    BROKEN,
    "close() did not settle",
  ],
  "counts fewer than none": [() => ({ lingering: () => -1 }), DECIDE, "must give a count"],
  "decides in its own time": [
    () => ({ isBroken: () => Promise.resolve(false) as never }),
    DECIDE,
    "isBroken() must give a boolean at once: received",
  ],
  "judges errors in its own time": [
    () => ({ isFatal: () => Promise.resolve(true) as never }),
    DECIDE,
    "isFatal() must give a boolean at once: received",
  ],
  "takes each stale error for one of its own": [
    () => ({ isStale: (_line, error) => (error as Error).message === "stale" }),
    DECIDE,
    "isStale() must not throw: TypeError",
  ],
  "takes each error for one of its own": [
    () => ({ isRetryable: (error) => (error as { code: string }).code !== "refused" }),
    DECIDE,
    "isRetryable() must not throw: TypeError",
  ],
  "shows a password": [
    () => ({ place: "exchange://me:hunter2@lines" }),
    PLACE,
    "'place' shows a secret",
  ],
  "is nowhere": [() => ({ place: 5 as never }), PLACE, "'place' must be a string: received 5"],
  "shows a password in an error that no caller gets": [
    () => ({ close: () => Promise.reject(new Error("hunter2 is logged in")) }),
    OPEN,
    "an error of close() shows a secret",
  ],
  "shows a password in the error of a dial": [
    () => ({ init: () => Promise.reject(new Error("'LOGIN hunter2' was refused")) }),
    OPEN,
    "an error shows a secret: the pool could not lend a resource: Error: 'LOGIN ***' was refused",
  ],
  "breaks lines": [() => ({ place: "exchange:\nlines" }), PLACE, "control characters"],
};

for (const [what, [override, scenario, message]] of Object.entries(wrong)) {
  Deno.test(`a connector that ${what} fails with a message`, async () => {
    const found = testConnector(subjectOf(override)).find(({ name }) => name === scenario);
    const error = await assertRejects(() => found!.run(), ConformanceError);
    assertStringIncludes(error.message, message);
  });
}

Deno.test("a subject without make(), or with a member that is unknown or wrong, is refused", () => {
  const make = () => ({ connect: () => ({}) });
  const wrong: [object, string][] = [
    [{}, "'make' must be a function"],
    [{ make, opens: () => 0 }, "'opens' is not an option"],
    [{ make, open: 0 }, "'open' must be a function: received 0"],
    [{ make, secrets: "hunter2" }, "'secrets' must be an array of non-empty strings"],
  ];
  for (const [subject, message] of wrong) {
    assertThrows(() => testConnector(subject as never), TypeError, message);
  }
  assertThrows(() => testConnector({ make, patience: 0 }), RangeError, "'patience'");
});

Deno.test("what the subject's own functions throw is told as an error of the scenario", async () => {
  const scenarioOf = (
    subject: Partial<ConnectorSubject<Line>>,
    override: Overrides,
    name: string,
  ) => testConnector({ ...subjectOf(override), ...subject }).find((each) => each.name === name)!;
  const failing = scenarioOf({ use: boom }, () => ({}), OPEN);
  const message = "use() of the subject failed on a healthy resource: Error: boom";
  await assertRejects(() => failing.run(), ConformanceError, message);
  const closing = scenarioOf({}, () => ({ close: boom }), DETACH);
  await assertRejects(() => closing.run(), ConformanceError, "close() failed: Error: boom");
});

Deno.test("a scenario that fails leaves nothing to the next one", async () => {
  const open = new Set<object>();
  let isSlow = true;
  const subject: ConnectorSubject<object> = {
    make: () => ({
      connect: () => {
        const resource = {};
        open.add(resource);
        return resource;
      },
      close: (resource) => void setTimeout(() => open.delete(resource), isSlow ? 50 : 0),
    }),
    open: () => open.size,
    use: () => {
      if (isSlow) throw new Error("slow");
    },
  };
  const scenarios = testConnector(subject);
  const find = (name: string) => scenarios.find((each) => each.name === name)!;
  await assertRejects(() => find(OPEN).run(), ConformanceError, "slow");
  isSlow = false;
  await find(DETACH).run(); // counts what is open against what was open at its begin
});

Deno.test("a connector that counts what lingers passes, and so does one that can't say goodbye to the dead", async () => {
  const lingers = new Set<Line>();
  const lingering = subjectOf(({ open }) => ({
    close: (line) => {
      open.delete(line);
      lingers.add(line);
    },
    lingering: () => lingers.size,
  }));
  const { open } = lingering;
  const counted = { ...lingering, open: async () => await open!() + lingers.size };
  assertEquals(await failures(counted), new Map());
  const speechless = subjectOf((exchange) => ({
    close: (line) => {
      exchange.open.delete(line);
      if (line.broken) boom();
    },
  }));
  assertEquals(await failures(speechless), new Map());
});

Deno.test("a secret in an error that a borrower gets is found", async () => {
  const use = ({ value }: Lease<Line>) => {
    if (value.broken) throw new Error("The line of hunter2 is dead");
  };
  const found = testConnector({ ...subjectOf(), use }).find(({ name }) => name === LEASED)!;
  await assertRejects(() => found.run(), ConformanceError, "an error of a borrower shows a secret");
});
