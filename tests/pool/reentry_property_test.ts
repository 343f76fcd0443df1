/** Pools that their connector and their hooks call back at any time, by seed. */

import { assertEquals, assertInstanceOf } from "@std/assert";
import {
  type AcquireOptions,
  type AdmitContext,
  type CloseOptions,
  type ConnectContext,
  type Connector,
  type ConnectorContext,
  KeyedPool,
  type Lease,
  LeaseReleasedError,
  type LiveOptions,
  type Permit,
  Pool,
  type PoolHooks,
  type RecycleOptions,
  type UseOptions,
  type WatchContext,
} from "../../pool/mod.ts";
import { Outcome } from "../support/scene.ts";
import { Simulation } from "../support/simulation.ts";

const SEEDS = 300;
const STEPS = 60;
const MOST_CALLS_BACK = 60;

/** What both kinds of pool can do; of a keyed one for any of its keys. */
interface Target {
  acquire(options: AcquireOptions): Promise<Lease<object>>;
  use(body: () => unknown, options: UseOptions): Promise<unknown>;
  warm(count: number): Promise<number>;
  recycle(options: RecycleOptions): Promise<void>;
  clear(): void;
  pause(): void;
  resume(): void;
  set(options: Omit<LiveOptions, "minIdle">): void;
  close(options?: CloseOptions): Promise<void>;
}

// Simulation replaces Math.random.
const chance = (share: number): boolean => Math.random() < share;
const pick = <C>(...choices: C[]): C => choices[Math.floor(Math.random() * choices.length)]!;

/** The pool may have closed the resource meanwhile. */
function detach(lease: Lease<object>): void {
  try {
    lease.detach();
  } catch (error) {
    assertInstanceOf(error, LeaseReleasedError);
  }
}

/** One pool, its connector, and all calls. */
class World {
  readonly simulation: Simulation;
  readonly calls: Outcome<unknown>[] = [];
  readonly #target: () => Target;
  readonly #leases: Lease<object>[] = [];
  readonly #hanging: (() => void)[] = [];
  readonly #faults = pick(0, 0.1, 0.5);
  readonly #hangs = pick(0, 0.05, 0.2);
  #callsBack = 0;
  #state: "made" | "open" | "healed" = "made";

  constructor(simulation: Simulation, poolOf: (world: World) => () => Target) {
    this.simulation = simulation;
    this.#target = poolOf(this);
    this.#state = "open";
  }

  /** Optional methods are there or not. */
  connector(): Connector<object> {
    const always = {
      connect: ({ signal }: ConnectContext) => this.#answer(() => ({}), signal),
      close: () => this.#answer(() => {}, undefined, 0),
    };
    const optional: Partial<Connector<object>>[] = [
      { admit: ({ signal }: AdmitContext) => this.#answer(() => this.#permit(), signal) },
      { init: (_, { signal }: ConnectorContext) => this.#answer(() => {}, signal) },
      { check: (_, { signal }: ConnectorContext) => this.#answer(() => chance(0.8), signal) },
      { reset: (_, { signal }: ConnectorContext) => this.#answer(() => {}, signal) },
      { isBroken: () => this.#ask(0.1) },
      { isRetryable: () => this.#ask(0.7) },
      { isStale: () => this.#ask(0.5) },
      { isFatal: () => this.#ask(0.5) },
      {
        watch: (_, { lost }: WatchContext) => this.#ask(0.05) && lost("found lost"),
        unwatch: () => void this.#ask(0),
        probe: () => this.#ask(0.6) ? undefined : this.#promise(() => {}),
      },
    ];
    return Object.assign(always, ...optional.filter(() => chance(0.4)));
  }

  readonly hooks: PoolHooks<object> = Object.fromEntries(
    ["onConnect", "onAcquire", "onRelease", "onRetire", "onReject", "onLeak", "onError"].map((
      name,
    ) => [name, () => void this.#ask(0)]),
  );

  /** A call from outside, or from within the connector or a hook. */
  act(): void {
    const target = this.#target();
    const { acquire, use, warm, recycle } = {
      acquire: () => target.acquire({ timeout: pick(0, 5, 50, 1_000), fresh: chance(0.1) }),
      use: () => target.use(pick(...BODIES)(this.simulation), { deadline: pick(10, 100) }),
      warm: () => target.warm(pick(0, 1, 3)),
      recycle: () => target.recycle({ over: pick(0, 50, 500) }),
    };
    const lent = () => this.#end(this.#leases.shift());
    const kept = (lease: Lease<object> | undefined) => lease && void this.#leases.push(lease);
    pick<() => unknown>(
      () => this.#call(acquire().then(kept)),
      () => this.#call(acquire().then(kept)),
      () => this.#call(use()),
      () => this.#call(use()),
      () => this.#call(warm()),
      () => this.#call(recycle()),
      () => this.#call(chance(0.1) ? target.close(pick(...CLOSES)) : Promise.resolve()),
      () => target.clear(),
      () => target.pause(),
      () => target.resume(),
      () => target.resume(),
      () => target.set(pick(...CHANGES)),
      lent,
      lent,
    )();
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      this.act();
      if (chance(0.6)) await this.simulation.run(Math.random() * 20);
      if (chance(0.05)) this.#hanging.shift()?.();
    }
    if (chance(0.5)) this.#state = "healed"; // else it is closed while the connector is not
    const closing = new Outcome(this.#target().close(pick(...CLOSES)));
    for (let second = 0; second < 20 && closing.state === "pending"; second++) {
      await this.simulation.run(1_000);
    }
    this.#state = "healed";
    for (const answer of this.#hanging) answer();
    await this.simulation.run(200); // late resources are closed
    assertEquals(closing.state, "fulfilled", "the pool is closed");
    assertEquals(this.calls.filter(({ state }) => state === "pending"), [], "all are answered");
    assertEquals(this.simulation.pending, 0, "no timer is left");
  }

  #call(promise: Promise<unknown>): void {
    this.calls.push(new Outcome(promise));
  }

  #end(lease: Lease<object> | undefined): void {
    if (lease === undefined || lease.ended) return;
    if (chance(0.6)) lease.release();
    else if (chance(0.5)) lease.discard();
    else detach(lease);
  }

  /** Calls the pool back now and then. */
  #ask(share: number): boolean {
    const mayCall = this.#state === "open" && this.#callsBack < MOST_CALLS_BACK;
    if (mayCall && chance(0.2)) {
      this.#callsBack++;
      this.act();
    }
    return chance(share);
  }

  #answer<R>(value: () => R, signal?: AbortSignal, faults = this.#faults): R | Promise<R> {
    this.#ask(0);
    signal?.addEventListener("abort", () => void this.#ask(0));
    if (this.#state === "healed") return value();
    if (chance(faults)) return this.#promise(() => Promise.reject(new Error("failed")));
    if (!chance(this.#hangs)) return chance(0.3) ? value() : this.#promise(value);
    return new Promise((resolve, reject) => {
      this.#hanging.push(() => resolve(value()));
      if (chance(0.5)) signal?.addEventListener("abort", () => reject(signal.reason));
    });
  }

  #permit(): Permit {
    const release = () => void this.#ask(0);
    return { release, [Symbol.dispose]: release };
  }

  #promise<R>(value: () => R | Promise<R>): Promise<R> {
    return this.simulation.sleep(Math.random() * 10).then(value);
  }
}

const BODIES: ((simulation: Simulation) => () => unknown)[] = [
  () => () => {},
  ({ sleep }) => () => sleep(40),
  () => () => Promise.reject(new Error("of the body")),
];

const CLOSES: CloseOptions[] = [
  {},
  { timeout: 20 },
  { force: true },
  { waiters: "serve", timeout: 500 },
];

const CHANGES: Omit<LiveOptions, "minIdle">[] = [
  { maxIdle: 5 },
  { maxIdle: 2, maxUses: 2 },
  { idleTimeout: 30 },
  { idleTimeout: 0, checkTimeout: 30 },
  { maxLifetime: 40, lifetimeJitter: 0.5 },
  { retry: { attempts: 2, minDelay: 1 }, maxConnecting: 2 },
  { track: true, leakTimeout: 10 },
  { track: false, leakTimeout: Infinity },
  { keepalive: 10 },
  { overload: { target: 5, interval: 20 } },
  { overload: false },
];

const optionsOf = ({ simulation, hooks }: World) => ({
  acquireTimeout: pick(50, 5_000),
  connectTimeout: pick(30, 200),
  checkTimeout: pick(20, 100),
  idleTimeout: pick(Infinity, 20, 0),
  checkAfter: pick(0, 5),
  keepalive: pick(100_000, 15),
  maxUses: pick(Infinity, 3),
  maxWaiting: pick(Infinity, 2),
  maxConnecting: pick(Infinity, 1),
  retry: pick({ attempts: 1 }, { attempts: 3, minDelay: 5, maxDelay: 40 }),
  ...(chance(0.3) && { track: true, leakTimeout: 15 }),
  clock: simulation.clock,
  hooks,
});

const pools: Record<string, (world: World) => () => Target> = {
  Pool: (world) => {
    const pool = new Pool(world.connector(), {
      ...optionsOf(world),
      maxSize: pick(2, 5),
      minIdle: pick(0, 0, 2),
    });
    return () => pool;
  },
  KeyedPool: (world) => {
    const hosts = new KeyedPool((_key: string) => world.connector(), {
      ...optionsOf(world),
      maxSize: pick(1, 3, 6),
      maxPerKey: pick(1, 3),
    });
    return () => {
      const { acquire, use, warm } = hosts.at(pick("a", "b", "c"));
      return {
        acquire,
        use,
        warm,
        recycle: (options) => hosts.recycle(options),
        clear: () => hosts.clear(),
        pause: () => hosts.pause(),
        resume: () => hosts.resume(),
        set: (options) => hosts.set(options),
        close: (options) => hosts.close(options),
      };
    };
  },
};

for (const [title, poolOf] of Object.entries(pools)) {
  Deno.test(`${title}: whatever its connector and hooks call, all callers are answered, and no timer is left`, async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      using simulation = new Simulation(seed);
      try {
        await new World(simulation, poolOf).run();
      } catch (error) {
        throw new Error(`With the seed ${seed}`, { cause: error });
      }
    }
  });
}
