import { assert, assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import {
  type Connector,
  type ConnectorContext,
  failover,
  type Permit,
  Pool,
  PoolTimeoutError,
  roundRobin,
  Semaphore,
} from "../../mod.ts";
import { roundTrip } from "../support/round_trip.ts";
import { microtasks, Outcome } from "../support/scene.ts";
import { Site } from "../support/site.ts";
import { Stage } from "../support/endpoint_stage.ts";
import { until } from "../support/until.ts";
import { contextOf } from "../support/connect_context.ts";

const { signal } = new AbortController();

/** Gives the endpoint an `admit()` that takes permits of a semaphore. */
function gate(member: object, permits: number): Semaphore {
  const semaphore = new Semaphore(permits);
  const admit = ({ signal }: ConnectorContext) => semaphore.acquire({ signal });
  Object.assign(member, { admit });
  return semaphore;
}

/** A stage whose endpoints have gates, with these numbers of permits. */
class GatedStage extends Stage {
  readonly gates: Semaphore[];

  constructor(combine: typeof failover, ...permits: number[]) {
    const gates: Semaphore[] = [];
    super(combine, {}, (members) => {
      for (const [i, count] of permits.entries()) gates.push(gate(members[i]!, count));
    });
    this.gates = gates;
  }

  get available(): number[] {
    return this.gates.map(({ available }) => available);
  }
}

/** A dial as a pool makes it: admission, then connect(). */
function admitAndDial<T>(connector: Connector<T>, signal = new AbortController().signal) {
  const admitted = async () => {
    const permit = await connector.admit!({ signal });
    const resource = await connector.connect(contextOf(signal));
    return { permit, resource };
  };
  return new Outcome(admitted());
}

Deno.test("endpoints: a permit is held for as long as its resource is open", async () => {
  await using a = Site.up();
  await using b = Site.up();
  const members = [{ ...a.connector }, { ...b.connector }];
  const gates = members.map((member) => gate(member, 2));
  await using pool = new Pool(roundRobin(members), { maxSize: 4 });
  const leases = await Promise.all(Array.from({ length: 4 }, () => pool.acquire()));
  assertEquals(gates.map(({ available }) => available), [0, 0]);
  for (const lease of leases) assertEquals(await roundTrip(lease, "ping"), "ping");
  leases[0]!.discard();
  await until(() => gates[0]!.available === 1);
  for (const lease of leases) lease.release();
  assertEquals(gates.map(({ available }) => available), [1, 0]);
  await pool.close();
  await until(() => gates.every(({ available }) => available === 2));
});

Deno.test("endpoints: a detached resource takes its permit along", async () => {
  await using a = Site.up();
  const member = { ...a.connector };
  const permits = gate(member, 1);
  await using pool = new Pool(failover(member));
  const socket = (await pool.acquire()).detach();
  await pool.close();
  assertEquals([permits.available, await roundTrip(socket, "ping")], [0, "ping"]);
  socket.close();
});

Deno.test("endpoints: a failed dial and a failed login give their permits back", async () => {
  const gates: Semaphore[] = [];
  using stage = new Stage(failover, {}, (members) => {
    gates.push(...members.map((member) => gate(member, 1)));
    Object.assign(members[1]!, { init: () => Promise.reject(new Error("refused")) });
  });
  stage.a.script.connect = "error";
  const first = stage.dial();
  await microtasks();
  assertEquals(stage.opener(first), "c");
  assertEquals(gates.map(({ available }) => available), [1, 1, 0]);
});

Deno.test("endpoints: an endpoint that loses the race gives its permit back", async () => {
  using stage = new GatedStage(failover, 1, 1, 1);
  stage.a.script.connect = "never";
  const caller = stage.dial();
  await stage.elapse(1_000);
  assertEquals([stage.opener(caller), stage.available], ["b", [1, 0, 1]]);
});

Deno.test("endpoints: no time limit runs during a wait for admission", async () => {
  using stage = new GatedStage(failover, 0);
  const [permits] = stage.gates as [Semaphore];
  const caller = stage.dial();
  await stage.elapse(60_000, 1_000);
  assertEquals([caller.state, stage.dials, stage.up], ["pending", [0, 0, 0], [true, true, true]]);
  permits.resize(1);
  await microtasks();
  assertEquals([stage.opener(caller), stage.dials], ["a", [1, 0, 0]]);
});

Deno.test("endpoints: a dial that times out while it waits for admission marks no endpoint as down", async () => {
  using stage = new GatedStage(failover, 0);
  const [permits] = stage.gates as [Semaphore];
  const controller = new AbortController();
  const caller = stage.dial(controller);
  await microtasks();
  const reason = new DOMException("over", "TimeoutError");
  controller.abort(reason);
  await microtasks();
  assertStrictEquals(caller.error, reason);
  assertEquals([stage.up, permits.waiting], [[true, true, true], 0]);
});

Deno.test("endpoints: a dial is aborted at once while it waits for admission, and a late permit is given back", async () => {
  const released: string[] = [];
  const late = Promise.withResolvers<Permit>();
  const admit = () => late.promise;
  using stage = new Stage(failover, {}, ([a]) => Object.assign(a!, { admit }));
  const controller = new AbortController();
  const caller = stage.dial(controller);
  await microtasks();
  controller.abort("enough");
  await microtasks();
  assertEquals([caller.state, caller.error], ["rejected", "enough"]);
  late.resolve({ release: () => void released.push("late"), [Symbol.dispose]() {} });
  await microtasks();
  assertEquals([released, stage.dials], [["late"], [0, 0, 0]]);
});

Deno.test("endpoints: a rejected admission is a failure like any other", async () => {
  const refused = new Error("the limit can't be asked for");
  const admits = [() => Promise.reject(refused), () => {
    throw refused;
  }];
  using stage = new Stage(failover, {}, (members) => {
    for (const [i, admit] of admits.entries()) Object.assign(members[i]!, { admit });
  });
  assertEquals([await stage.dialNow(), stage.dials], ["c", [0, 0, 1]]);
  const errors = stage.connector.endpoints.map(({ error }) => error);
  assertEquals(errors, [refused, refused, undefined]);
});

Deno.test("endpoints: an invalid permit is a failure, and a permit whose release() fails does no harm", async () => {
  const hostile = {
    get release() {
      throw new Error("no release");
    },
  };
  const leaves: unknown[] = [hostile, { release: 5 }, {
    release: () => Promise.reject(new Error("not asynchronous")),
  }];
  using stage = new Stage(failover, {}, (members) => {
    for (const [i, member] of members.entries()) {
      Object.assign(member, { admit: () => leaves[i] });
    }
  });
  const pool = stage.pool({ maxSize: 1 });
  assertEquals(await pool.warm(1), 1);
  const errors = stage.connector.endpoints.map(({ error }) => String(error));
  assertEquals(errors, [
    "TypeError: admit() must give a permit: received Object",
    "TypeError: admit() must give a permit: received Object",
    "undefined",
  ]);
  const closing = new Outcome(pool.close());
  await stage.elapse(20);
  assertEquals([closing.state, stage.members.flatMap(({ open }) => open)], ["fulfilled", []]);
});

Deno.test("endpoints: a permit taken before the dial is used by the dial", async () => {
  using stage = new GatedStage(roundRobin, 2, 2, 2);
  const { connector } = stage;
  const calls = Array.from({ length: 6 }, () => admitAndDial(connector));
  await microtasks();
  assertEquals(connector.endpoints.map(({ open }) => open), [2, 2, 2]);
  assertEquals([stage.available, stage.dials], [[0, 0, 0], [2, 2, 2]]);
  for (const { value } of calls) {
    await connector.close!(value!.resource, "closed");
    value!.permit.release();
  }
  assertEquals(stage.available, [2, 2, 2]);
});

Deno.test("endpoints: a permit taken and not used is given back", async () => {
  using stage = new GatedStage(failover, 1, 1, 1);
  const unused = await stage.connector.admit!({ signal });
  assertEquals(stage.available, [0, 1, 1]);
  unused.release();
  unused.release();
  await microtasks();
  assertEquals(stage.available, [1, 1, 1]);

  const reused = admitAndDial(stage.connector, AbortSignal.abort("too late"));
  await microtasks();
  assertEquals([reused.error, stage.available[0]], ["too late", 1]);

  const other = await stage.connector.admit!({ signal });
  await assertRejectsWith(
    "aborted",
    () => stage.connector.connect(contextOf(AbortSignal.abort("aborted"))),
  );
  other.release();
  await microtasks();
  assertEquals(stage.available, [1, 1, 1]);
});

Deno.test("endpoints: a permit for an endpoint that is down when the dial begins is given back", async () => {
  using stage = new GatedStage(failover, 2, 2, 2);
  const permits = [
    await stage.connector.admit!({ signal }),
    await stage.connector.admit!({ signal }),
  ];
  assertEquals(stage.available, [0, 2, 2]);
  stage.a.script.connect = "error";
  assertEquals([await stage.dialNow(), stage.dials], ["b", [1, 1, 0]], "the dial used its permit");
  assertEquals([await stage.dialNow(), stage.dials], ["b", [1, 2, 0]], "it could not");
  assertEquals(stage.available, [2, 0, 2]);
  for (const permit of permits) permit.release();
  assertEquals(stage.available, [2, 0, 2], "both resources are open");
});

Deno.test("endpoints: a dial that waits for admission to an endpoint that goes down goes to another", async () => {
  const signals: AbortSignal[] = [];
  const gateOfOne = ({ signal }: ConnectorContext) => {
    signals.push(signal);
    return signals.length === 1 ? new Semaphore(1).acquire() : new Promise<Permit>(() => {});
  };
  using stage = new Stage(failover, {}, ([a]) => Object.assign(a!, { admit: gateOfOne }));
  stage.a.script.connect = "never";
  const first = admitAndDial(stage.connector);
  const others = [admitAndDial(stage.connector), admitAndDial(stage.connector)];
  await microtasks();
  assertEquals([stage.dials, signals.length], [[1, 0, 0], 3]);
  stage.a.last("connect").fail();
  await microtasks();
  const openers = [first, ...others].map(({ value }) =>
    value && stage.b.things.includes(value.resource)
  );
  assertEquals(openers, [true, true, true]);
  assertEquals(signals.slice(1).map(({ aborted }) => aborted), [true, true]);
});

Deno.test("endpoints: a dial that waits for admission in a race goes on to the next when its endpoint goes down", async () => {
  using stage = new GatedStage(failover, 1, 5);
  stage.a.script.connect = "never";
  const callers = stage.dialTogether(4);
  await microtasks();
  assertEquals([stage.dials, stage.gates[0]!.waiting], [[1, 0, 0], 3]);
  stage.a.last("connect").fail();
  await microtasks();
  assertEquals([stage.openersOf(callers), stage.dials], ["bbbb", [1, 4, 0]]);
  assertEquals([stage.gates[0]!.waiting, stage.available], [0, [1, 1]]);
});

Deno.test("endpoints: a wait for admission ends when it is aborted", async () => {
  using stage = new GatedStage(failover, 0);
  const [permits] = stage.gates as [Semaphore];
  const controller = new AbortController();
  const caller = admitAndDial(stage.connector, controller.signal);
  await microtasks();
  assertEquals(permits.waiting, 1);
  controller.abort("enough");
  await microtasks();
  assertEquals([caller.state, caller.error, permits.waiting], ["rejected", "enough", 0]);
  assertEquals(await stage.dialNow(), "", "the next one waits as well");
  permits.resize(1);
  await microtasks();
  assertEquals(stage.dials, [1, 0, 0]);
});

Deno.test("endpoints: leave that comes when its wait has been aborted is given back", async () => {
  const leave = Promise.withResolvers<Permit>();
  let released = 0;
  const release = () => void released++;
  const connector = failover([{ admit: () => leave.promise, connect: () => ({}) }]);
  const controller = new AbortController();
  const caller = admitAndDial(connector, controller.signal);
  await microtasks();
  controller.abort("enough");
  await microtasks();
  assertEquals([caller.error, released], ["enough", 0]);
  leave.resolve({ release, [Symbol.dispose]: release });
  await microtasks();
  assertEquals(released, 1);
});

Deno.test("endpoints: a dial that gives what is open already gives its permit back", async () => {
  const thing = {};
  const member = { connect: () => thing };
  const permits = gate(member, 3);
  const connector = failover([member]);
  const callers = [admitAndDial(connector), admitAndDial(connector)];
  await microtasks();
  assertEquals(callers.map(({ state }) => state), ["fulfilled", "rejected"]);
  assertEquals(permits.available, 2);
});

Deno.test("endpoints: a close that never ends costs no permit after the pool has given it up", async () => {
  using stage = new GatedStage(failover, 1);
  const [permits] = stage.gates as [Semaphore];
  const caller = admitAndDial(stage.connector);
  await microtasks();
  stage.a.script.close = "never";
  const { resource, permit } = caller.value!;
  new Outcome(Promise.resolve(stage.connector.close!(resource, "closed")));
  await microtasks();
  assertEquals(permits.available, 0);
  permit.release();
  assertEquals(permits.available, 1);
});

Deno.test("endpoints: nested groups take the permit of the innermost endpoint", async () => {
  using stage = new GatedStage(failover, 1, 1, 1);
  const [a, b, c] = stage.members;
  const connector = failover(roundRobin(a!, b!), c!);
  const calls = [admitAndDial(connector), admitAndDial(connector)];
  await microtasks();
  assertEquals(stage.available, [0, 0, 1]);
  for (const { value } of calls) {
    await connector.close!(value!.resource, "closed");
    value!.permit.release();
  }
  assertEquals(stage.available, [1, 1, 1]);
});

Deno.test("endpoints: a probe that waits for admission delays other dials for 250 ms at most", async () => {
  using stage = new GatedStage(failover, 5);
  await stage.losePreferred();
  stage.a.script.connect = "ok";
  const [permits] = stage.gates as [Semaphore];
  permits.resize(0);
  const callers = stage.dialTogether(5);
  await stage.elapse(240);
  assertEquals(stage.openersOf(callers), "");
  await stage.elapse(10);
  assertEquals([stage.openersOf(callers), stage.dials], ["b".repeat(5), [1, 6, 0]]);
  permits.resize(1);
  await microtasks();
  assertEquals([stage.up[0], permits.available], [true, 1], "the probe found it up");
});

Deno.test("endpoints: a group has admit() only if a member has it", () => {
  assertEquals(roundRobin(() => 1).admit, undefined);
  assert(roundRobin(() => 1, { connect: () => 2, admit: () => new Semaphore(1).acquire() }).admit);
});

Deno.test("endpoints: a dial that exceeds the pool's connectTimeout gives its permit back", async () => {
  using stage = new GatedStage(failover, 1);
  const [permits] = stage.gates as [Semaphore];
  const pool = stage.pool({ connectTimeout: 500 });
  stage.a.script.connect = "never";
  const caller = new Outcome(pool.acquire());
  await stage.elapse(600);
  assertInstanceOf(caller.error, PoolTimeoutError);
  assertEquals(permits.available, 1);
  stage.a.last("connect").succeed();
  await microtasks();
  assertEquals([stage.a.open, permits.available], [[], 1]);
  await pool.close();
});

async function assertRejectsWith(reason: unknown, call: () => unknown): Promise<void> {
  const outcome = new Outcome((async () => await call())());
  await microtasks();
  assertEquals([outcome.state, outcome.error], ["rejected", reason]);
}
