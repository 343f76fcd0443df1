import { assert, assertEquals } from "@std/assert";
import { fc } from "../support/npm.ts";
import { type ClusterPermit, ClusterSemaphore, memoryEngine } from "../../cluster/mod.ts";
import { RemoteEngine, settle, VirtualTime, type Way } from "./_virtual.ts";

const PERMITS = 2;
const PROCESSES = 3;
const LEASE_TIME = 3_000;

interface Call {
  readonly controller: AbortController;
  outcome: "waiting" | "granted" | "refused";
}

/** One process: its semaphore, its connection to the engine, and its permits. */
class Process {
  readonly engine: RemoteEngine;
  readonly semaphore: ClusterSemaphore;
  readonly calls: Call[] = [];
  held: ClusterPermit[] = [];

  constructor(world: World, engine: RemoteEngine, ahead: number) {
    this.engine = engine;
    this.semaphore = new ClusterSemaphore({
      engine,
      key: "k",
      permits: PERMITS,
      leaseTime: LEASE_TIME,
      engineTimeout: 2_000,
      clock: world.time.clock(ahead),
    });
  }

  acquire(timeout: number): void {
    const call: Call = { controller: new AbortController(), outcome: "waiting" };
    this.calls.push(call);
    const { signal } = call.controller;
    this.semaphore.acquire({ signal, timeout }).then(
      (permit) => this.#took(call, permit),
      () => call.outcome = "refused",
    );
  }

  attempt(): void {
    this.semaphore.tryAcquire().then((permit) => permit && this.#keep(permit), () => {});
  }

  #took(call: Call, permit: ClusterPermit): void {
    assertEquals(call.outcome, "waiting");
    call.outcome = "granted";
    this.#keep(permit);
  }

  #keep(permit: ClusterPermit): void {
    this.held.push(permit);
    permit.lost.addEventListener("abort", () => assertEquals(permit.valid, false));
  }
}

class World {
  readonly time: VirtualTime;
  readonly engine;
  readonly processes: Process[];
  readonly tokens = new Set<number>();

  constructor(time: VirtualTime) {
    this.time = time;
    this.engine = memoryEngine({ now: time.engineNow });
    this.processes = Array.from(
      { length: PROCESSES },
      (_, i) => new Process(this, new RemoteEngine(this.engine), i * 60_000),
    );
  }

  /** The law of every moment. */
  readonly check = (): void => {
    let valid = 0;
    for (const { held } of this.processes) for (const permit of held) if (permit.valid) valid++;
    assert(valid <= PERMITS, `${valid} permits are valid`);
  };

  /** With all faults repaired and all permits released, no caller waits and nothing is left. */
  async end(): Promise<void> {
    for (const { engine } of this.processes) engine.way = "fine";
    for (let i = 0; i < 60; i++) {
      for (const process of this.processes) {
        for (const permit of process.held.splice(0)) permit.release();
      }
      await this.time.pass(LEASE_TIME / 2, this.check);
    }
    for (const { calls, semaphore } of this.processes) {
      for (const { outcome } of calls) assert(outcome !== "waiting", "a caller was forgotten");
      assertEquals([semaphore.stats.held, semaphore.stats.waiting], [0, 0]);
    }
    const { held, waiting, peak } = await this.engine.status("k");
    assertEquals([held, waiting], [0, 0]);
    assert(peak <= PERMITS);
    const closed = Promise.all(this.processes.map(({ semaphore }) => semaphore.close()));
    await this.time.pass(LEASE_TIME);
    await closed;
    assertEquals((await this.engine.status("k")).sessions, 0);
    assertEquals(this.time.pending, 0);
  }
}

type Step = (world: World) => void | Promise<void>;

const process = fc.nat(PROCESSES - 1);
const way: fc.Arbitrary<Way> = fc.oneof(
  fc.constant<Way>("fine"),
  fc.constant<Way>("cut"),
  fc.constant<Way>("deaf"),
  // A delay of up to a sixth is in time, since an exchange may take a third.
  fc.record({ delay: fc.integer({ min: 1, max: LEASE_TIME / 6 }) }),
  fc.constant<Way>({ delay: LEASE_TIME / 6 - 1 }),
  fc.constant<Way>({ delay: LEASE_TIME }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(process, fc.constantFrom(Infinity, 0, 50, 5_000)).map(acquire) },
  { weight: 1, arbitrary: process.map(attempt) },
  { weight: 5, arbitrary: fc.tuple(process, fc.nat()).map(release) },
  { weight: 1, arbitrary: fc.tuple(process, fc.nat()).map(abort) },
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 2 * LEASE_TIME }).map(pass) },
  { weight: 2, arbitrary: fc.tuple(process, way).map(setWay) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 2 * LEASE_TIME }).map(sleep) },
);

function acquire([index, timeout]: [number, number]): Step {
  return named(
    `acquire ${index} ${timeout}`,
    ({ processes }) => processes[index]!.acquire(timeout),
  );
}

function attempt(index: number): Step {
  return named(`attempt ${index}`, ({ processes }) => processes[index]!.attempt());
}

function release([index, which]: [number, number]): Step {
  return named(`release ${index} ${which}`, ({ processes }) => {
    const { held } = processes[index]!;
    if (held.length > 0) held.splice(which % held.length, 1)[0]!.release();
  });
}

function abort([index, which]: [number, number]): Step {
  return named(`abort ${index} ${which}`, ({ processes }) => {
    const { calls } = processes[index]!;
    if (calls.length > 0) calls[which % calls.length]!.controller.abort();
  });
}

function pass(duration: number): Step {
  return named(`pass ${duration}`, ({ time, check }) => time.pass(duration, check));
}

function sleep(duration: number): Step {
  return named(`sleep ${duration}`, ({ time }) => time.sleep(duration));
}

function setWay([index, way]: [number, Way]): Step {
  return named(`way ${index} ${JSON.stringify(way)}`, ({ processes }) => {
    processes[index]!.engine.way = way;
  });
}

function named(name: string, run: Step): Step {
  return Object.assign(run, { toString: () => name });
}

Deno.test("Under random schedules, faults and sleep the valid permits never exceed the limit, and every caller is served", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      using time = new VirtualTime();
      const world = new World(time);
      for (const run of steps) {
        await run(world);
        world.check();
        await settle();
        world.check();
      }
      await world.end();
    }),
    { numRuns: Number(Deno.args[0] ?? 500) },
  );
});
