import { assert, assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { PoolClosedError, PoolTimeoutError, type TimeoutStage } from "../../pool/mod.ts";
import { combinations, eachCase, LIMIT, microtasks, Outcome, Scene } from "../support/scene.ts";
import {
  type Behaviour,
  HEALTHY,
  type Method,
  type Script,
  ScriptedConnector,
} from "../support/scripted_connector.ts";

const REASON = new Error("enough");
const PATIENCE = LIMIT / 2;

type Cause = "abort" | "timeout" | "close";
const CAUSES: readonly Cause[] = ["abort", "timeout", "close"];
type Ending = "ok" | "error" | "never";
const ENDINGS: readonly Ending[] = ["ok", "error", "never"];

/** A stage at which a caller waits. */
interface Stage {
  name: string;
  /** The stage as the timeout error names it. */
  timeoutStage: TimeoutStage;
  /** Brings the pool to a state in which the next caller has to wait. */
  prepare(scene: Scene): Promise<void>;
  /** Ends the stage; `isImmediate` says whether the pool is told in the same turn. */
  complete(scene: Scene, ending: Ending): void;
  isImmediate?: boolean;
}

const STAGES: readonly Stage[] = [
  {
    name: "wait",
    timeoutStage: "wait",
    async prepare(scene) {
      await scene.take();
    },
    complete(scene, ending) {
      if (ending === "ok") scene.held[0]!.release();
      else if (ending === "error") scene.held[0]!.discard();
    },
    isImmediate: true,
  },
  {
    name: "dial",
    timeoutStage: "connect",
    prepare: (scene) => Promise.resolve(hang(scene, "connect")),
    complete: (scene, ending) => answer(scene, "connect", ending),
  },
  {
    name: "check",
    timeoutStage: "check",
    async prepare(scene) {
      (await scene.take()).release();
      hang(scene, "check");
    },
    complete: (scene, ending) => answer(scene, "check", ending),
  },
  {
    name: "reset",
    timeoutStage: "wait",
    async prepare(scene) {
      const lease = await scene.take();
      hang(scene, "reset");
      lease.release();
    },
    complete: (scene, ending) => answer(scene, "reset", ending),
  },
  {
    name: "close",
    timeoutStage: "wait",
    async prepare(scene) {
      const lease = await scene.take();
      hang(scene, "close");
      lease.discard();
    },
    complete: (scene, ending) => answer(scene, "close", ending),
  },
];

function hang(scene: Scene, method: Method): void {
  scene.connector.script[method] = "never";
}

function answer(scene: Scene, method: Method, ending: Ending): void {
  scene.connector.script = { ...HEALTHY };
  if (ending === "ok") scene.connector.last(method).succeed();
  else if (ending === "error") scene.connector.last(method).fail();
}

/** One caller that is cancelled at one stage. */
class Trial {
  readonly scene: Scene;
  readonly #controller = new AbortController();
  caller!: Outcome<unknown>;

  constructor(readonly stage: Stage) {
    const without = stage.name === "wait" ? ["reset" as const] : [];
    this.scene = new Scene(new ScriptedConnector({}, without), { maxSize: 1 });
  }

  async begin(): Promise<void> {
    await this.stage.prepare(this.scene);
    const { signal } = this.#controller;
    this.caller = this.scene.acquire({ signal, timeout: PATIENCE });
    assertEquals(this.caller.state, "pending");
  }

  cancel(cause: Cause): void {
    if (cause === "abort") this.#controller.abort(REASON);
    else if (cause === "timeout") this.scene.time.tick(PATIENCE);
    else this.scene.close({ timeout: PATIENCE });
  }

  assertCancelled(cause: Cause): void {
    assertEquals(this.caller.state, "rejected");
    const { error } = this.caller;
    if (cause === "abort") return assertStrictEquals(error, REASON);
    if (cause === "close") return assertInstanceOf(error, PoolClosedError);
    assertInstanceOf(error, PoolTimeoutError);
  }

  /** Checks that no slot is lost and nothing is left behind. */
  async assertSound(): Promise<void> {
    const { scene } = this;
    await microtasks();
    scene.assertReal();
    await scene.elapse(2 * LIMIT);
    const settled = this.caller.state;
    scene.connector.heal();
    await microtasks();
    assertEquals(this.caller.state, settled, "it does not change its mind");
    scene.assertAtRest();
    if (!scene.pool.closed) await scene.assertFullCapacity();
    await scene.end();
  }
}

async function trial(stage: Stage, run: (trial: Trial) => Promise<void> | void): Promise<void> {
  const trial = new Trial(stage);
  using _scene = trial.scene;
  await trial.begin();
  await run(trial);
  await trial.assertSound();
}

type Case = [Stage, Ending, Cause];
const CASES = combinations<Stage | Ending | Cause>(STAGES, ENDINGS, CAUSES) as Case[];
const nameOf = ([stage, ending, cause]: Case) => `${cause} and then ${ending} of the ${stage.name}`;

Deno.test("a cancelled call rejects in that turn, at every stage and however the stage ends", async () => {
  await eachCase(CASES, nameOf, ([stage, ending, cause]) =>
    trial(stage, async (trial) => {
      await microtasks();
      trial.cancel(cause);
      await microtasks();
      trial.assertCancelled(cause);
      const { error } = trial.caller;
      if (error instanceof PoolTimeoutError) assertEquals(error.stage, stage.timeoutStage);
      stage.complete(trial.scene, ending);
    }));
});

Deno.test("a call cancelled in the tick of its success, but before it, is cancelled", async () => {
  await eachCase(CASES, nameOf, ([stage, ending, cause]) =>
    trial(stage, async (trial) => {
      trial.cancel(cause);
      stage.complete(trial.scene, ending);
      await microtasks();
      trial.assertCancelled(cause);
    }));
});

Deno.test("a cancellation in the tick of the hand-over does not take back the lease", async () => {
  const cases = CASES.filter(([stage, ending]) => stage.isImmediate && ending === "ok");
  await eachCase(cases, nameOf, ([stage, ending, cause]) =>
    trial(stage, async (trial) => {
      stage.complete(trial.scene, ending);
      trial.cancel(cause);
      await microtasks();
      assertEquals(trial.caller.state, "fulfilled");
      assertEquals(trial.scene.pool.stats.leased, 1);
    }));
});

Deno.test("a cancellation at any microtask after the end of the stage loses no slot", async () => {
  const hops = Array.from({ length: 16 }, (_, hop) => hop);
  const cases = combinations<Stage | Ending | Cause | number>(
    STAGES,
    ["ok", "error"],
    CAUSES,
    hops,
  );
  await eachCase(
    cases as [Stage, Ending, Cause, number][],
    ([stage, ending, cause, hop]) => `${cause} ${hop} hops after ${ending} of the ${stage.name}`,
    ([stage, ending, cause, hop]) =>
      trial(stage, async (trial) => {
        await microtasks();
        stage.complete(trial.scene, ending);
        await microtasks(hop);
        const before = trial.caller.state;
        trial.cancel(cause);
        await microtasks();
        assert(trial.caller.state !== "pending", "settled in that turn");
        if (before !== "pending") return assertEquals(trial.caller.state, before);
        const isDialError = trial.caller.error instanceof Error &&
          trial.caller.error.message === "connect failed";
        if (trial.caller.state === "rejected" && !isDialError) trial.assertCancelled(cause);
      }),
  );
});

Deno.test("a cancellation after the hand-over changes nothing for the borrower", async () => {
  const cases = CASES.filter(([_, ending]) => ending === "ok");
  await eachCase(cases, nameOf, ([stage, ending, cause]) =>
    trial(stage, async (trial) => {
      await microtasks();
      stage.complete(trial.scene, ending);
      await microtasks();
      const [lease] = trial.scene.held;
      trial.cancel(cause);
      await microtasks();
      assertEquals([lease?.ended, lease?.value.closes], [false, 0]);
      lease!.release();
    }));
});

Deno.test("of several causes in one tick the first counts, at every stage", async () => {
  const orders = combinations(CAUSES, CAUSES, CAUSES).filter((order) => new Set(order).size === 3);
  const cases = combinations<Stage | Ending | Cause[]>(STAGES, ENDINGS, orders);
  await eachCase(
    cases as [Stage, Ending, Cause[]][],
    ([stage, ending, order]) => `${order} and ${ending} of the ${stage.name}`,
    ([stage, ending, order]) =>
      trial(stage, async (trial) => {
        for (const cause of order) trial.cancel(cause);
        stage.complete(trial.scene, ending);
        await microtasks();
        trial.assertCancelled(order[0]!);
      }),
  );
});

Deno.test("a call with a signal that is already aborted changes nothing", async () => {
  const cases = combinations<Stage | Cause>(STAGES, ["abort", "close"]) as [Stage, Cause][];
  await eachCase(cases, ([stage, cause]) => `${cause} before the ${stage.name}`, async (each) => {
    const [stage, cause] = each;
    const trial = new Trial(stage);
    using scene = trial.scene;
    await stage.prepare(scene);
    await microtasks();
    trial.cancel(cause);
    await microtasks();
    const { length } = scene.connector.calls;
    trial.caller = scene.acquire({
      signal: cause === "abort" ? AbortSignal.abort(REASON) : neverAborted,
    });
    assertEquals([scene.connector.calls.length, scene.pool.stats.waiting], [length, 0]);
    await microtasks();
    trial.assertCancelled(cause);
    for (const call of scene.connector.calls) call.succeed();
    await trial.assertSound();
  });
});

const neverAborted = new AbortController().signal;

Deno.test("a call with an aborted signal gets no idle resource and does not call the connector", async () => {
  using scene = new Scene(new ScriptedConnector({}, ["check"]), { maxSize: 2 });
  (await scene.take()).release();
  await microtasks();
  const { length } = scene.connector.calls;
  for (const fresh of [false, true]) {
    const caller = scene.acquire({ signal: AbortSignal.abort(REASON), fresh });
    const used = new Outcome(
      scene.pool.use(() => {}, { signal: AbortSignal.abort(REASON), fresh }),
    );
    const { leased, idle, size } = scene.pool.stats;
    await microtasks();
    assertEquals([caller.error, used.error], [REASON, REASON]);
    assertEquals([leased, idle, size, scene.connector.calls.length], [0, 1, 1, length]);
  }
  await scene.end();
});

Deno.test("a call cancelled from within any hook or connector method loses no slot", async () => {
  const hooks = ["onConnect", "onAcquire", "onRelease", "onRetire", "onError"] as const;
  const methods: Method[] = ["connect", "check", "reset", "close"];
  const causes: Cause[] = ["abort", "close"];
  const places = [...hooks, ...methods];
  const cases = combinations<string>(places, causes, methods, ["error", "ok"]);
  await eachCase(cases, (each) => each.join(", "), async ([place, cause, failing, behaviour]) => {
    const controller = new AbortController();
    const cancel = (here: string) => {
      if (here !== place || !armed) return;
      armed = false;
      if (cause === "abort") controller.abort(REASON);
      else scene.close({ timeout: PATIENCE });
    };
    let armed = false;
    const connector = new ScriptedConnector();
    connector.onCall = cancel;
    const options = Object.fromEntries(hooks.map((hook) => [hook, () => cancel(hook)]));
    using scene = new Scene(connector, { maxSize: 2, hooks: options });
    (await scene.take()).release();
    await microtasks();
    connector.script[failing as Method] = behaviour as Behaviour;
    armed = true;
    const callers = [1, 2, 3, 4].map(() => scene.acquire({ signal: controller.signal }));
    await microtasks();
    scene.assertReal();
    scene.held[0]?.release();
    scene.held[0]?.discard();
    await microtasks();
    scene.assertReal();
    await scene.elapse(2 * LIMIT);
    for (const lease of scene.held) lease.release();
    await scene.elapse(2 * LIMIT);
    armed = false;
    connector.heal();
    for (const lease of scene.held) lease.release();
    await microtasks();
    assertEquals(callers.filter((caller) => caller.state === "pending").length, 0);
    scene.assertAtRest();
    if (!scene.pool.closed) await scene.assertFullCapacity();
    await scene.end();
  });
});

Deno.test("no slot is lost whether connect, check, reset and close succeed, fail or hang, in every combination", async () => {
  const ways: readonly Behaviour[] = ["ok", "error", "slow", "never", "throw"];
  const cases = combinations(ways, ways, ways, ways);
  assertEquals(cases.length, 5 ** 4);
  await eachCase(cases, (each) => each.join(", "), async ([connect, check, reset, close]) => {
    using scene = new Scene(new ScriptedConnector(), { maxSize: 2 });
    (await scene.take()).release();
    await microtasks();
    scene.connector.script = { connect, check, reset, close } as Script;
    const callers = [scene.acquire(), scene.acquire(), scene.acquire({ timeout: PATIENCE })];
    await scene.elapse(PATIENCE);
    scene.assertReal();
    scene.held[0]?.release();
    scene.held[0]?.discard();
    await microtasks();
    scene.assertReal();
    await scene.elapse(6 * LIMIT);
    assertEquals(callers.filter((caller) => caller.state === "pending").length, 0);
    for (const lease of scene.held) lease.release();
    await scene.elapse(2 * LIMIT);
    scene.assertAtRest();
    scene.connector.heal();
    await microtasks();
    scene.assertAtRest();
    await scene.assertFullCapacity();
    await scene.end();
  });
});

Deno.test("an abort whose earlier listener releases the lease is still the first cause", async () => {
  await eachCase([0, 1], (others) => `${others} other callers`, async (others) => {
    using scene = new Scene(new ScriptedConnector({}, ["reset", "check"]), { maxSize: 1 });
    const lease = await scene.take();
    const controller = new AbortController();
    controller.signal.addEventListener("abort", () => lease.release(), { once: true });
    const aborted = [1, 2, 3].map(() => scene.acquire({ signal: controller.signal }));
    const served = Array.from({ length: others }, () => scene.acquire());
    controller.abort(REASON);
    await microtasks();
    assertEquals(aborted.map((caller) => caller.error), [REASON, REASON, REASON]);
    assertEquals(served.map((caller) => caller.state), served.map(() => "fulfilled"));
    scene.assertAtRest();
    await scene.assertFullCapacity();
    await scene.end();
  });
});

Deno.test("an abort whose earlier listener closes the pool is still the first cause", async () => {
  using scene = new Scene(new ScriptedConnector(), { maxSize: 1 });
  await scene.take();
  const controller = new AbortController();
  controller.signal.addEventListener("abort", () => scene.close(), { once: true });
  const aborted = scene.acquire({ signal: controller.signal });
  const other = scene.acquire();
  controller.abort(REASON);
  await microtasks();
  assertStrictEquals(aborted.error, REASON);
  assertInstanceOf(other.error, PoolClosedError);
  await scene.end();
});
