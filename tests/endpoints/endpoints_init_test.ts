import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import {
  type ConnectContext,
  type Connector,
  type ConnectorContext,
  failover,
  Pool,
  roundRobin,
  type Socket,
  type SocketConnector,
} from "../../mod.ts";
import { microtasks } from "../support/scene.ts";
import { roundTrip } from "../support/round_trip.ts";
import { Site } from "../support/site.ts";
import { Stage } from "../support/endpoint_stage.ts";
import { until } from "../support/until.ts";
import { contextOf } from "../support/connect_context.ts";

type Init = (socket: Socket<Deno.NetAddr>, context: ConnectorContext) => void | Promise<void>;

function withInit({ connector }: Site, init: Init): SocketConnector<Deno.NetAddr> {
  return { ...connector, init };
}

const never = new Promise<never>(() => {});

Deno.test("endpoints: after a failed login the socket is closed, and the next endpoint is dialled", async () => {
  await using a = Site.up();
  await using b = Site.up();
  const refused = new Error("password authentication failed");
  const greeted: string[] = [];
  const connector = failover(
    withInit(a, () => Promise.reject(refused)),
    withInit(b, async (socket) => void greeted.push(await roundTrip(socket, "hello"))),
  );
  await using pool = new Pool(connector, { maxSize: 1 });
  assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
  assertEquals(greeted, ["hello"], "one login for each socket");
  assertEquals([a.accepts, connector.endpoints[0]!.up], [1, false]);
  assertStrictEquals(connector.endpoints[0]!.error, refused);
  await until(() => a.open === 0);
});

Deno.test("endpoints: a login that hangs counts as a slow dial, and its socket is closed", async () => {
  await using a = Site.up();
  await using b = Site.up();
  const connector = failover(
    [withInit(a, () => never), b.connector],
    { attemptDelay: 50 },
  );
  await using pool = new Pool(connector);
  using conn = await pool.acquire();
  assertEquals([conn.remoteAddr.port, connector.endpoints[0]!.up], [b.port, false]);
  await until(() => a.accepts === 1 && a.open === 0);
});

Deno.test("endpoints: a dial that is aborted during a login closes the socket, even if the login goes on", async () => {
  await using a = Site.up();
  const begun = Promise.withResolvers<void>();
  const late = Promise.withResolvers<void>();
  const connector = roundRobin(withInit(a, () => {
    begun.resolve();
    return late.promise;
  }));
  const controller = new AbortController();
  const dial = connector.connect(contextOf(controller.signal));
  await begun.promise;
  const reason = new Error("never mind");
  controller.abort(reason);
  assertStrictEquals(await assertRejects(async () => await dial), reason);
  await until(() => a.accepts === 1 && a.open === 0);
  late.resolve();
  await microtasks();
  assertEquals(connector.endpoints.map(({ open, connecting }) => [open, connecting]), [[0, 0]]);
});

Deno.test("endpoints: close() of the pool during a login leaves no socket behind", async () => {
  await using a = Site.up();
  const begun = Promise.withResolvers<void>();
  const pool = new Pool(failover(withInit(a, () => {
    begun.resolve();
    return never;
  })));
  const caller = assertRejects(() => pool.acquire());
  await begun.promise;
  await pool.close();
  await caller;
  await until(() => a.open === 0);
});

Deno.test("endpoints: a resource that is initialised too late is closed once", async () => {
  const late = Promise.withResolvers<void>();
  const init = () => late.promise;
  using stage = new Stage(failover, {}, ([a]) => Object.assign(a!, { init }));
  const caller = stage.dial();
  await stage.elapse(1_000);
  assertEquals([stage.opener(caller), stage.up], ["b", [false, true, true]]);
  assertEquals(stage.a.things.map(({ closes }) => closes), [1]);
  late.resolve();
  await microtasks();
  assertEquals(stage.a.things.map(({ closes }) => closes), [1]);
});

Deno.test("endpoints: isFatal() is asked of the connector that opened the resource", async () => {
  const harmless = new Error("syntax error");
  const strict = { connect: () => ({}) };
  const lenient: Connector<object> = {
    connect: () => ({}),
    isFatal: (error, resource) => typeof resource === "object" && error !== harmless,
  };
  const connector = roundRobin(strict, lenient);
  const resources = [await connector.connect(contextOf()), await connector.connect(contextOf())];
  const answers = (error: Error) =>
    resources.map((resource) => connector.isFatal!(error, resource));
  assertEquals(answers(harmless), [true, false]);
  assertEquals(answers(new Error("connection reset")), [true, true]);
  assertEquals(roundRobin(strict).isFatal, undefined, "the pool's default holds");
});

Deno.test("endpoints: retire() applies to the resource that the pool has, not to one that lost the race", async () => {
  using stage = new Stage(failover);
  const retired: unknown[] = [];
  const contexts: Required<ConnectContext>[] = [];
  for (const member of stage.members) {
    const connect = member.connect.bind(member);
    member.connect = (context) => {
      contexts.push(context as Required<ConnectContext>);
      return connect(context);
    };
  }
  stage.a.script.connect = "never";
  const closed = new AbortController().signal;
  const caller = stage.dial({
    retire: (reason, options) => retired.push([reason, options?.now]),
    closed,
  });
  await stage.elapse(1_000);
  const [loser, winner] = contexts;
  assertEquals([stage.opener(caller), contexts.length], ["b", 2]);
  assertStrictEquals(winner!.closed, closed);
  loser!.retire("slow");
  stage.a.last("connect").succeed();
  await microtasks();
  loser!.retire("late");
  assertEquals(retired, []);
  winner!.retire("told to leave", { now: true });
  winner!.retire("once more");
  assertEquals(retired, [["told to leave", true], ["once more", undefined]]);
});

Deno.test("endpoints: a resource that is retired while it is opened is retired when the pool has it", async () => {
  using stage = new Stage(failover);
  const retired: unknown[] = [];
  stage.a.connect = ({ retire }: ConnectContext) => {
    retire!("moved");
    return Promise.reject(new Error("refused"));
  };
  const connect = stage.b.connect.bind(stage.b);
  stage.b.connect = (context: ConnectContext) => {
    context.retire!("going away");
    return connect(context);
  };
  const caller = stage.dial({ retire: (reason) => retired.push(reason) });
  await microtasks();
  assertEquals([stage.opener(caller), retired], ["b", ["going away"]]);
});
