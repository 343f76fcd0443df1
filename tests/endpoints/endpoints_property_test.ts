import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { fc } from "../support/npm.ts";
import {
  type AcquireOptions,
  type Connector,
  type EndpointsConnector,
  failover,
  type Lease,
  type Permit,
  Pool,
  roundRobin,
} from "../../mod.ts";
import { microtasks } from "../support/scene.ts";
import { VirtualTime } from "../support/virtual_time.ts";
import { clockOf } from "../support/clocks.ts";

type Resource = number | { readonly id: number };
type Method = "admit" | "init" | "check" | "reset" | "isBroken" | "watch" | "unwatch" | "close";

const MAX_DELAY = 400;
let lastId = 0;

/** An endpoint that may be down; it records every call for a resource of another endpoint. */
class Member implements Connector<Resource> {
  readonly open = new Set<Resource>();
  readonly wrongs: string[] = [];
  readonly #opened = new Set<Resource>();
  readonly #gives: Spec["gives"];
  isDown = false;
  /** Permits that are held. */
  held = 0;
  /** Held permits whose resources were detached. */
  detached = 0;
  admit?: () => Permit;
  init?: (resource: Resource) => void;
  check?: (resource: Resource) => boolean;
  reset?: (resource: Resource) => void;
  isBroken?: (resource: Resource) => boolean;
  watch?: (resource: Resource) => void;
  unwatch?: (resource: Resource) => void;

  constructor(gives: Spec["gives"], has: readonly Method[]) {
    this.#gives = gives;
    if (has.includes("admit")) this.admit = () => this.#admit();
    if (has.includes("init")) {
      this.init = (resource) => {
        this.#asked("init", resource, undefined);
        if (this.isDown) throw new Error("refused");
      };
    }
    if (has.includes("check")) this.check = (resource) => this.#asked("check", resource, true);
    if (has.includes("reset")) this.reset = (resource) => this.#asked("reset", resource, undefined);
    if (has.includes("isBroken")) {
      this.isBroken = (resource) => this.#asked("isBroken", resource, false);
    }
    if (has.includes("watch")) this.watch = (resource) => this.#asked("watch", resource, undefined);
    if (has.includes("unwatch")) {
      this.unwatch = (resource) => this.#asked("unwatch", resource, undefined);
    }
  }

  async connect(): Promise<Resource> {
    await undefined;
    if (this.isDown && this.init === undefined) throw new Error("down");
    const id = ++lastId;
    const resource = this.#gives === "numbers" ? id : { id };
    this.#opened.add(resource);
    this.open.add(resource);
    return resource;
  }

  close(resource: Resource): void {
    this.#asked("close", resource, undefined);
    if (!this.open.delete(resource)) this.wrongs.push(`close again: ${resource}`);
  }

  #admit(): Permit {
    this.held++;
    const release = () => {
      if (!isHeld) return;
      isHeld = false;
      this.held--;
    };
    let isHeld = true;
    return { release, [Symbol.dispose]: release };
  }

  #asked<R>(method: Method, resource: Resource, answer: R): R {
    if (!this.#opened.has(resource)) this.wrongs.push(`${method}: ${resource}`);
    return answer;
  }
}

type Step =
  | { readonly do: "dial"; readonly count: number }
  | { readonly do: "dialTogether"; readonly count: number }
  | { readonly do: "release" | "discard" | "detach"; readonly which: number }
  | { readonly do: "down" | "up"; readonly which: number }
  | { readonly do: "clear" | "reuse" }
  | { readonly do: "elapse"; readonly duration: number };

const which = fc.nat({ max: 99 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("dial" as const),
        count: fc.integer({ min: 1, max: 5 }),
      }),
    },
    fc.record({ do: fc.constant("dialTogether" as const), count: fc.integer({ min: 2, max: 9 }) }),
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constantFrom("release", "discard", "detach"), which }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("down", "up"), which }) },
    fc.record({ do: fc.constantFrom("clear", "reuse") }),
    fc.record({ do: fc.constant("elapse" as const), duration: fc.integer({ min: 1, max: 1_500 }) }),
  ),
  { maxLength: 60 },
);

interface Spec {
  readonly gives: "objects" | "numbers";
  readonly has: readonly Method[];
}

const specs: fc.Arbitrary<Spec[]> = fc.array(
  fc.record({
    gives: fc.constantFrom("objects", "numbers"),
    has: fc.subarray<Method>(["admit", "init", "check", "reset", "isBroken", "watch", "unwatch"]),
  }),
  { minLength: 1, maxLength: 4 },
);

function membersOf(specs: readonly Spec[]): Member[] {
  return specs.map(({ gives, has }) => new Member(gives, has));
}

/** A pool over endpoints that go up and down. */
class World implements AsyncDisposable {
  readonly time: VirtualTime;
  readonly members: Member[];
  readonly connector: EndpointsConnector<Resource>;
  readonly pool: Pool<Resource>;
  readonly #held: Lease<Resource>[] = [];

  constructor(combine: typeof failover, members: Member[], seed: number) {
    this.time = new VirtualTime(seed);
    const { clock } = this.time;
    this.members = members;
    this.connector = combine(members, {
      minDelay: 100,
      maxDelay: MAX_DELAY,
      clock: { now: clock },
    });
    this.pool = new Pool(this.connector, {
      maxSize: Infinity,
      maxIdle: 3,
      checkAfter: 50,
      clock: clockOf(clock),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.pool.close({ force: true });
    await microtasks();
    await closed;
    this.time[Symbol.dispose]();
  }

  async run(step: Step): Promise<void> {
    switch (step.do) {
      case "dial":
        for (let i = 0; i < step.count; i++) await this.dial();
        break;
      case "dialTogether":
        await Promise.all(
          Array.from({ length: step.count }, () => this.#acquire({ fresh: true })),
        );
        break;
      case "reuse":
        await this.#acquire({});
        break;
      case "down":
      case "up":
        this.members[step.which % this.members.length]!.isDown = step.do === "down";
        break;
      case "clear":
        this.pool.clear();
        break;
      case "elapse":
        this.elapse(step.duration);
        break;
      default:
        this.#end(step.do, step.which);
    }
    await microtasks();
    this.assertCounted();
  }

  elapse(duration: number): void {
    const until = this.time.now + duration;
    while (this.time.advance(until));
  }

  /** Dials once, and checks which endpoint was chosen. */
  async dial(): Promise<void> {
    const before = this.connector.endpoints;
    const lease = await this.#acquire({ fresh: true });
    const fit = before.map(({ up }, i) => up && !this.members[i]!.isDown);
    if (lease === undefined) {
      return assertEquals(fit.indexOf(true), -1, "an endpoint that is up is found");
    }
    const opener = this.members.findIndex(({ open }) => open.has(lease.value));
    this.assertChosen(opener, fit, before.map(({ open }) => open));
  }

  /** No endpoint that is known to be up had a smaller load. */
  assertChosen(opener: number, fit: boolean[], open: number[]): void {
    for (const [i, count] of open.entries()) if (fit[i]) assertLessOrEqual(open[opener]!, count);
  }

  /** Each endpoint was only asked about its own resources. */
  assertCounted(): void {
    assertEquals(this.members.flatMap(({ wrongs }) => wrongs), []);
    const open = this.members.map(({ open }) => open.size);
    assertEquals(this.connector.endpoints.map((each) => each.open), open);
    for (const { admit, held, detached, open } of this.members) {
      if (admit !== undefined) assertEquals(held, open.size + detached, "permits");
    }
    assertEquals(this.connector.endpoints.map((each) => each.connecting), open.map(() => 0));
  }

  async #acquire(options: AcquireOptions): Promise<Lease<Resource> | undefined> {
    const lease = await this.pool.acquire(options).catch(() => undefined);
    if (lease !== undefined) this.#held.push(lease);
    return lease;
  }

  #end(how: "release" | "discard" | "detach", which: number): void {
    const [lease] = this.#held.splice(which % (this.#held.length || 1), 1);
    const resource = lease?.value;
    lease?.[how]();
    if (how !== "detach" || resource === undefined) return;
    for (const member of this.members) {
      if (member.open.delete(resource)) member.detached++; // the caller owns it now
    }
  }
}

/** The same for endpoints in order of preference. */
class OrderedWorld extends World {
  /** No endpoint that is known to be up comes earlier. */
  override assertChosen(opener: number, fit: boolean[]): void {
    assert(!fit.slice(0, opener).includes(true));
  }
}

/** Runs the steps in a world of these members, then brings all of them up. */
async function live(world: World, steps: readonly Step[]): Promise<void> {
  for (const step of steps) await world.run(step);
  for (const member of world.members) member.isDown = false;
  world.elapse(MAX_DELAY);
}

Deno.test("roundRobin: while endpoints go up and down, the spread is even and each closes its own resources", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), specs, steps, async (seed, specs, steps) => {
      const members = membersOf(specs);
      await using world = new World(roundRobin, members, seed);
      await live(world, steps);
      const most = Math.max(...members.map(({ open }) => open.size));
      await world.run({ do: "dial", count: members.length * (most + 1) });
      const counts = members.map(({ open }) => open.size);
      assertLessOrEqual(Math.max(...counts) - Math.min(...counts), 1, `${counts}`);
    }),
    { numRuns: 500 },
  );
});

Deno.test("failover: while endpoints go up and down, the first that is up is chosen and each closes its own resources", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), specs, steps, async (seed, specs, steps) => {
      await using world = new OrderedWorld(failover, membersOf(specs), seed);
      await live(world, steps);
      await world.run({ do: "dial", count: 1 });
      assert(world.connector.endpoints[0]!.up);
    }),
    { numRuns: 500 },
  );
});
