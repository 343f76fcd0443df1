/**
 * What it costs to look: hooks, `track`, a monitor, and OpenTelemetry's metrics, beside
 * a pool that nothing has ever observed. `off` has been instrumented once, and is not any more.
 *
 * @module
 */

import { Pool } from "../../mod.ts";
import { monitor } from "../../monitor/mod.ts";
import type { PoolOptions } from "../../pool/mod.ts";
import { instrument } from "../../telemetry/mod.ts";
import { MeterProvider } from "../telemetry/_npm.ts";
import { type Case, type Contender, type Role, timed } from "./_bench.ts";
import { type Rival, trivial } from "./_rivals.ts";

type Loops = typeof import("./_loops.ts");
type Things = Pool<{ id: number }>;

const SIZE = 10;
const TURNS = 1_000;
/** A hundredth is to be told from nothing. */
const EFFORT = { rounds: 25 };

/** How a pool is observed: its options, and what is done with it. */
interface Manner {
  readonly name: string;
  readonly role: Role;
  readonly options?: PoolOptions<{ id: number }>;
  observe?(pool: Things): Disposable | undefined;
}

const meters = new MeterProvider();
const measure = (pool: Things) =>
  instrument(pool, { meter: meters.getMeter("bench"), name: "things" });

const MANNERS: readonly Manner[] = [
  { name: "never observed", role: "floor" },
  {
    name: "off",
    role: "ours",
    observe(pool) {
      measure(pool)[Symbol.dispose]();
      return undefined;
    },
  },
  { name: "hooks", role: "ours", options: { hooks: { onAcquire() {}, onRelease() {} } } },
  { name: "track", role: "ours", options: { track: true } },
  { name: "monitor", role: "ours", observe: (pool) => monitor({ pool }) },
  { name: "instrumented", role: "ours", observe: measure },
];

/** A pool that is observed in that manner, as the loops take it. */
async function rival({ name, role, options = {}, observe }: Manner): Promise<Rival> {
  const { open, close } = trivial();
  const pool: Things = new Pool({ connect: open, close }, { maxSize: SIZE, ...options });
  const observing = observe?.(pool);
  await pool.use(() => Promise.resolve()); // one is open from now on
  return {
    name,
    role,
    acquire: () => pool.acquire(),
    acquireWith: (signal) => pool.acquire({ signal }),
    release: (lease) => (lease as Disposable)[Symbol.dispose](),
    use: (body) => pool.use(body),
    async close() {
      observing?.[Symbol.dispose]();
      await pool.close();
    },
  };
}

async function all(run: (loops: Loops, rival: Rival) => unknown): Promise<Contender[]> {
  return await Promise.all(MANNERS.map(async (manner) => {
    const loops: Loops = await import(`./_loops.ts?observing-${manner.name}`);
    const made = await rival(manner);
    return timed(made.name, made.role, TURNS, () => run(loops, made), made.close);
  }));
}

export default [
  {
    name: "sequential",
    per: "acquire and release",
    unit: "ns",
    isQuick: true,
    effort: EFFORT,
    contenders: () => all((loops, rival) => loops.sequential(rival, TURNS)),
  },
  {
    name: "100 tasks on 10",
    per: "acquire and release",
    unit: "ns",
    effort: EFFORT,
    contenders: () => all((loops, rival) => loops.tasks(rival, 100, TURNS / 100)),
  },
] satisfies Case[];
