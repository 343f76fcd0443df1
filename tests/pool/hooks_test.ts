import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import {
  type Connector,
  Pool,
  type PoolHooks,
  type PoolOptions,
  type PoolStats,
} from "../../mod.ts";
import {
  combinations,
  eachCase,
  LIMIT,
  microtasks,
  type Outcome,
  Scene,
} from "../support/scene.ts";
import { type Script, ScriptedConnector, type Thing } from "../support/scripted_connector.ts";

type Hook = keyof PoolHooks;

const HOOKS = ["onConnect", "onAcquire", "onRelease", "onRetire", "onError"] as const;
const ERROR = new Error("the hook's");

/** The fields that an event may have. */
interface Told {
  resource?: Thing;
  reason?: string;
  detail?: unknown;
  error?: unknown;
  source?: string;
}

/** Hooks that record their events; resources by number. */
class Log {
  readonly entries: unknown[][] = [];
  readonly hooks = Object.fromEntries(
    HOOKS.map((name) => [name, (event: Told) => this.#note(name, event)]),
  ) as PoolHooks;

  /** The events since the last call. */
  get latest(): unknown[][] {
    return this.entries.splice(0);
  }

  #note(name: Hook, { reason, resource, detail, error, source }: Told): void {
    const parts = name === "onError"
      ? [error, source]
      : name === "onRetire"
      ? [reason, resource!.id, detail]
      : [resource!.id];
    this.entries.push([name, ...parts]);
  }
}

function sceneOf(options: PoolOptions = {}, script: Partial<Script> = {}): Scene {
  return new Scene(new ScriptedConnector(script), { checkAfter: Infinity, ...options });
}

Deno.test("hooks are called in order, each with its resource", async () => {
  const log = new Log();
  using scene = sceneOf({ maxSize: 2, hooks: log.hooks });
  const lease = await scene.take();
  assertEquals(log.latest, [["onConnect", 0], ["onAcquire", 0]]);
  const other = await scene.take();
  assertEquals(log.latest, [["onConnect", 1], ["onAcquire", 1]]);
  const waiter = scene.acquire();
  lease.release();
  await microtasks();
  assertEquals(log.latest, [["onRelease", 0], ["onAcquire", 0]]);
  other.discard("broken pipe");
  assertEquals(log.latest, [["onRetire", "discarded", 1, "broken pipe"]]);
  waiter.value!.detach().detached = true;
  await microtasks();
  assertEquals(log.latest, [], "a detached resource has no events");
  await scene.pool.warm(1);
  assertEquals(log.latest, [["onConnect", 2]]);
  await scene.end();
  assertEquals(log.latest, [["onRetire", "closed", 2, undefined]]);
});

Deno.test("a hook is called in the turn of its event, after the pool's state is consistent", async () => {
  const seen: [string, number, number, number][] = [];
  const see = (name: Hook) => () => {
    const { leased, idle, closing } = scene.pool.stats;
    seen.push([name, leased, idle, closing]);
  };
  const hooks = { onRelease: see("onRelease"), onRetire: see("onRetire") };
  using scene = sceneOf({ maxSize: 1, hooks });
  delete scene.connector.reset;
  (await scene.take()).release();
  assertEquals(seen, [["onRelease", 0, 1, 0]]);
  scene.pool.clear();
  assertEquals(seen.slice(1), [["onRetire", 0, 0, 1]]);
  await scene.end();
});

Deno.test("onError is called for every error that reaches no caller, with its source", async () => {
  const log = new Log();
  using scene = sceneOf({ maxSize: 1, checkAfter: 0, hooks: log.hooks });
  const errors = (): unknown[] =>
    log.latest.filter(([name]) => name === "onError").map((entry) => entry.slice(1).map(String));
  for (const method of ["reset", "check", "close"] as const) {
    const lease = await scene.take();
    scene.connector.script[method] = "error";
    if (method === "close") lease.discard();
    else lease.release();
    await microtasks();
    if (method === "check") await scene.take();
    assertEquals(errors(), [[`Error: ${method} failed`, method]]);
    scene.connector.script[method] = "ok";
    for (const lease of scene.held) lease.discard();
    await microtasks();
  }
  scene.connector.script.connect = "error";
  const caller = scene.acquire();
  await microtasks();
  assertEquals([caller.state, errors()], ["rejected", [["Error: connect failed", "connect"]]]);
  scene.connector.script.connect = "ok";
  (scene.connector as Connector<Thing>).isBroken = () => {
    throw ERROR;
  };
  (await scene.take()).release();
  assertEquals(errors(), [["Error: the hook's", "isBroken"]]);
  await scene.end();
});

Deno.test("a hook that throws is reported to onError and has no other effect", async () => {
  await eachCase(
    ["onConnect", "onAcquire", "onRelease", "onRetire"] as const,
    String,
    async (hook) => {
      const errors: unknown[] = [];
      const hooks: PoolHooks = {
        [hook]: () => {
          throw ERROR;
        },
        onError: ({ error, source }) => errors.push([error, source]),
      };
      using scene = sceneOf({ maxSize: 1, hooks });
      const lease = await scene.take();
      const waiter = scene.acquire();
      lease.release();
      await microtasks();
      assertEquals(waiter.state, "fulfilled");
      waiter.value!.discard();
      await microtasks();
      assert(errors.length > 0);
      for (const error of errors) assertEquals(error, [ERROR, "hook"]);
      scene.assertAtRest();
      await scene.assertFullCapacity();
      await scene.end();
    },
  );
});

Deno.test("an error of a hook that no onError takes is thrown to the runtime", async () => {
  const throws = () => {
    throw ERROR;
  };
  for (const hooks of [{ onConnect: throws }, { onConnect: throws, onError: throws }]) {
    const reported: unknown[] = [];
    const report = (event: ErrorEvent) => {
      event.preventDefault();
      reported.push(event.error);
    };
    globalThis.addEventListener("error", report);
    await using pool = new Pool(() => ({}), { hooks });
    await pool.use(() => {});
    globalThis.removeEventListener("error", report);
    assertEquals(reported, [ERROR]);
  }
});

/** Calls that a hook may make to its pool. */
const calls: Record<string, (scene: Scene) => unknown> = {
  acquire: (scene) => scene.acquire(),
  tryAcquire: ({ pool }) => pool.closed || pool.tryAcquire()?.release(),
  release: (scene) => scene.held[0]?.release(),
  discard: (scene) => scene.held[0]?.discard(),
  resize: (scene) => scene.pool.resize(3 - scene.pool.stats.maxSize),
  clear: (scene) => scene.pool.clear(),
  warm: (scene) => scene.pool.warm(1).catch(() => {}),
  close: (scene) => scene.close(),
};

Deno.test("a hook may call the pool", async () => {
  const cases = combinations<string>(HOOKS, Object.keys(calls));
  await eachCase(cases, String, async ([hook, call]) => {
    let budget = 5; // a hook's call may cause the hook to be called again
    const act = () => void (budget-- > 0 && calls[call!]!(scene));
    using scene = sceneOf({ maxSize: 2, minIdle: 1, checkAfter: 0, hooks: { [hook!]: act } });
    await microtasks();
    for (let round = 0; round < 3; round++) {
      scene.acquire();
      scene.connector.script.connect = round === 1 ? "error" : "ok";
      scene.connector.script.reset = round === 2 ? "error" : "ok";
      await microtasks();
      if (round === 1) scene.held[0]?.discard();
      for (const lease of scene.held) lease.release();
      if (call !== "resize") scene.assertReal(); // more may be leased than a smaller size allows
    }
    await microtasks();
    assert(budget < 5, "the hook was called");
    for (let i = 0; i < 10 && scene.held.length + scene.pool.stats.waiting > 0; i++) {
      for (const lease of scene.held) lease.release();
      await scene.elapse(LIMIT);
    }
    await microtasks();
    scene.assertAtRest();
    await scene.end();
  });
});

Deno.test("hooks see one event after the other, even if a hook causes the next", async () => {
  const entries: string[] = [];
  const hooks: PoolHooks = {
    onConnect: () => entries.push("connect"),
    onAcquire() {
      entries.push("acquire");
      if (entries.length < 4) scene.held[0]!.discard();
      entries.push("end of acquire");
    },
    onRelease() {
      entries.push("release");
      scene.pool.clear();
      entries.push("end of release");
    },
    onRetire: ({ reason }) => entries.push(reason),
  };
  using scene = sceneOf({ maxSize: 1, hooks });
  delete scene.connector.reset;
  entries.push("", "", "", "");
  const lease = await scene.take();
  entries.length = 0;
  lease.release();
  assertEquals(entries, ["release", "end of release", "cleared"]);
  await scene.end();
});

interface Case {
  options?: PoolOptions;
  /** Causes a resource to be retired. */
  run(scene: Scene): unknown;
}

/** Every reason to retire a resource, and how to cause it. */
const reasons: Record<Exclude<keyof PoolStats["retired"], "leaked">, Case> = {
  discarded: { run: async (scene) => (await scene.take()).discard() },
  broken: {
    run: async (scene) => {
      (scene.connector as Connector<Thing>).isBroken = () => true;
      (await scene.take()).release();
    },
  },
  lost: {
    run: async (scene) => {
      (scene.connector as Connector<Thing>).watch = (_thing, { lost }) => lost("hung up");
      (await scene.take()).release();
    },
  },
  init: {
    run: async (scene) => {
      (scene.connector as Connector<Thing>).init = () => Promise.reject(new Error("no login"));
      await scene.acquire();
    },
  },
  recycled: {
    run: async (scene) => {
      (await scene.take()).release();
      await microtasks();
      await scene.pool.recycle();
    },
  },
  unhealthy: {
    options: { checkAfter: 0 },
    run: async (scene) => {
      (await scene.take()).release();
      await microtasks();
      scene.connector.script.check = "error";
      await scene.take();
    },
  },
  reset: {
    run: async (scene) => {
      scene.connector.script.reset = "error";
      (await scene.take()).release();
    },
  },
  idle: {
    options: { idleTimeout: 100 },
    run: async (scene) => {
      (await scene.take()).release();
      await scene.elapse(100);
    },
  },
  lifetime: {
    options: { maxLifetime: 100 },
    run: async (scene) => {
      (await scene.take()).release();
      await scene.elapse(100);
    },
  },
  uses: { options: { maxUses: 1 }, run: async (scene) => (await scene.take()).release() },
  surplus: { options: { maxIdle: 0 }, run: async (scene) => (await scene.take()).release() },
  replaced: {
    run: async (scene) => {
      (await scene.take()).release();
      await microtasks();
      await scene.take({ fresh: true });
    },
  },
  cleared: {
    run: async (scene) => {
      (await scene.take()).release();
      await microtasks();
      scene.pool.clear();
    },
  },
  closed: {
    run: async (scene) => {
      (await scene.take()).release();
      await microtasks();
      scene.close();
    },
  },
};

Deno.test("each retirement is counted and passed to the hook once, with its reason", async () => {
  await eachCase(
    Object.entries(reasons),
    ([reason]) => reason,
    async ([reason, { options, run }]) => {
      const log = new Log();
      using scene = sceneOf({ maxSize: 1, hooks: { onRetire: log.hooks.onRetire! }, ...options });
      await run(scene);
      await microtasks();
      const { retired } = scene.pool.stats;
      const others = Object.entries(retired).filter(([, count]) => count > 0);
      assertEquals(others, [[reason, 1]]);
      assertEquals(log.latest.map(([, reason, id]) => [reason, id]), [[reason, 0]]);
      assertEquals(Object.keys(retired).sort(), [...Object.keys(reasons), "leaked"].sort());
      await scene.end();
    },
  );
});

Deno.test("stats count how calls to acquire end", async () => {
  using scene = sceneOf({ maxSize: 1 });
  const counts: number[][] = [];
  const count = () => {
    const { direct, waited, timedOut, aborted } = scene.pool.stats.acquires;
    counts.push([direct, waited, timedOut, aborted]);
  };
  (await scene.take()).release();
  await microtasks();
  count();
  const lease = scene.pool.tryAcquire()!;
  count();
  const controller = new AbortController();
  scene.acquire({ signal: controller.signal });
  controller.abort();
  scene.acquire({ signal: AbortSignal.abort() });
  count();
  scene.acquire({ timeout: 50 });
  scene.acquire({ timeout: 0 });
  await scene.elapse(50);
  count();
  const waiter = scene.acquire();
  lease.release();
  await microtasks();
  waiter.value!.release();
  count();
  await microtasks();
  (await scene.pool.acquire()).release();
  count();
  assertEquals(counts, [
    [0, 1, 0, 0],
    [1, 1, 0, 0],
    [1, 1, 0, 1],
    [1, 1, 1, 1],
    [1, 2, 1, 1],
    [2, 2, 1, 1],
  ]);
  await scene.end();
});

Deno.test("stats count how dials end, including dials without a caller", async () => {
  using scene = sceneOf({ maxSize: 2, retry: { attempts: 2, minDelay: 10 } });
  await scene.take();
  assertEquals(scene.pool.stats.dials, { ok: 1, failed: 0 });
  scene.connector.script.connect = "error";
  scene.acquire();
  await scene.elapse(50);
  assertEquals(scene.pool.stats.dials, { ok: 1, failed: 2 });
  scene.connector.script.connect = "never";
  const controller = new AbortController();
  const caller = scene.acquire({ signal: controller.signal });
  controller.abort();
  scene.connector.heal();
  await microtasks();
  assertEquals([caller.state, scene.pool.stats.dials], ["rejected", { ok: 2, failed: 2 }]);
  await scene.end();
});

Deno.test("stats show each state that a resource passes through", async () => {
  using scene = sceneOf({ maxSize: 1, checkAfter: 0 }, {
    connect: "slow",
    reset: "slow",
    check: "slow",
    close: "slow",
  });
  const state = () => {
    const { size, leased, idle, connecting, preparing, closing, waiting } = scene.pool.stats;
    assertEquals(size, leased + idle + connecting + preparing + closing);
    const gauges = Object.entries({ leased, idle, connecting, preparing, closing });
    return [gauges.filter(([, count]) => count > 0).map(([name]) => name).join(), waiting];
  };
  assertEquals(state(), ["", 0]);
  let caller: Outcome<{ release(): void; discard(): void }> = scene.acquire();
  assertEquals(state(), ["connecting", 1]);
  await scene.elapse(10);
  assertEquals(state(), ["leased", 0]);
  caller.value!.release();
  assertEquals(state(), ["preparing", 0]);
  await scene.elapse(10);
  assertEquals(state(), ["idle", 0]);
  caller = scene.acquire();
  assertEquals(state(), ["preparing", 1]);
  await scene.elapse(10);
  assertEquals(state(), ["leased", 0]);
  caller.value!.discard();
  assertEquals(state(), ["closing", 0]);
  await scene.elapse(10);
  assertEquals(state(), ["", 0]);
  assertStrictEquals(scene.pool.stats.maxSize, 1);
  await scene.end();
});

Deno.test("an asynchronous hook that rejects is reported to onError like one that throws", async () => {
  const failure = new Error("no log");
  const told: unknown[] = [];
  await using pool = new Pool(() => ({}), {
    hooks: {
      onAcquire: () => Promise.reject(failure),
      onError: ({ error, source }) => void told.push(source, error),
    },
  });
  (await pool.acquire()).release();
  await microtasks();
  assertEquals(told, ["hook", failure]);
});

Deno.test("of hooks one of which can't be read none is added", async () => {
  let [calls, reads] = [0, 0];
  await using pool = new Pool(() => ({}));
  const hooks = {
    onConnect: () => void calls++,
    get onError(): () => void {
      if (reads++ > 0) throw new Error("not to be read again");
      return () => {};
    },
  };
  assertThrows(() => pool.observe(hooks), Error, "not to be read again");
  (await pool.acquire()).release();
  await microtasks();
  assertEquals(calls, 0);
});

Deno.test("onRetire is told why a connector retires what is lent, when it comes back", async () => {
  const told: unknown[] = [];
  let retire = (_reason: unknown) => {};
  await using pool = new Pool<object>((context) => {
    retire = (reason) => context.retire?.(reason);
    return {};
  }, { hooks: { onRetire: ({ reason, detail }) => void told.push(reason, detail) } });
  const lease = await pool.acquire();
  retire("a farewell");
  await microtasks();
  assertEquals(told, []);
  lease.release();
  await microtasks();
  assertEquals(told, ["lost", "a farewell"]);
});

Deno.test("hooks that are replaced later are called as they were when they were added", async () => {
  const calls: string[] = [];
  const hooks: PoolHooks = { onAcquire: () => void calls.push("given") };
  const added: PoolHooks = { onAcquire: () => void calls.push("added") };
  await using pool = new Pool(() => ({}), { hooks });
  pool.observe(added);
  for (const each of [hooks, added]) each.onAcquire = () => void calls.push("replaced");
  (await pool.acquire()).release();
  await microtasks();
  assertEquals(calls, ["given", "added"]);
});
