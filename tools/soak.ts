/**
 * Runs pools through random sequences of steps and checks what holds after each:
 *
 *     deno task soak [--what pool,keyed,sockets,tasks] [--seconds N] [--steps N] [--seed N]
 *                    [--odd] [--stalls] [--dates]
 *
 * - `pool`: a Pool, in virtual time, by the laws of `tests/support/model_laws.ts`
 * - `keyed`: a KeyedPool, by those of `tests/support/keyed_model.ts`
 * - `sockets`: real sockets and tagged requests to a server on another thread
 * - `tasks`: a TaskPool
 *
 * They take turns. It ends at the first broken law, or after the given seconds or steps,
 * by default 60 seconds. The same seed gives the same run, except for real time. With
 * `--odd` dials and bodies fail with values that are no Error, `--stalls` blocks the event
 * loop, `--dates` sets the date.
 *
 * @module
 */

import { type Exploration, explore } from "../tests/support/explore.ts";
import { exploreKeyed } from "../tests/support/keyed_model.ts";
import { exploreSockets } from "../tests/support/socket_walk.ts";
import { soakTasks } from "../tests/tasks/model.ts";

/** Runs in one batch. Each batch has its own seed. */
const BATCH = 200;
/** Steps of a batch over real sockets. */
const SOCKET_STEPS = 2_000;
const TASK_STEPS = 100_000;
/** The longest block of the event loop. */
const STALL = 120;
const REPORT_INTERVAL = 10_000;

type Walk = (seed: number) => Promise<Exploration>;

const has = (flag: string) => Deno.args.includes(`--${flag}`);
const odd = has("odd");

const walks: Record<string, Walk> = {
  pool: (seed) => explore(seed, BATCH),
  keyed: (seed) => exploreKeyed(seed, BATCH, { odd }),
  sockets: (seed) =>
    exploreSockets(seed, SOCKET_STEPS, {
      odd,
      stall: has("stalls") ? STALL : 0,
      dates: has("dates"),
    }),
  tasks: async (seed) => ({ ...await soakTasks({ seed, steps: TASK_STEPS }) }),
};

function argument(name: string): string | undefined {
  const index = Deno.args.indexOf(`--${name}`);
  return index < 0 ? undefined : Deno.args[index + 1] ?? "";
}

function count(name: string): number | undefined {
  const text = argument(name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text !== "" && Number.isFinite(value)) return value;
  throw new TypeError(`--${name} must be followed by a number: received ${text}`);
}

function chosen(): string[] {
  const names = (argument("what") ?? "pool,keyed,sockets,tasks").split(",");
  for (const name of names) {
    if (Object.hasOwn(walks, name)) continue;
    throw new TypeError(`--what must name ${Object.keys(walks).join(", ")}: received ${name}`);
  }
  return names;
}

const names = chosen();
const maxSteps = count("steps") ?? Infinity;
const seconds = count("seconds") ?? (maxSteps === Infinity ? 60 : Infinity);
const firstSeed = count("seed") ?? Math.floor(Math.random() * 2 ** 31);

const start = performance.now();
const elapsed = () => performance.now() - start;
const done = new Map(names.map((name) => [name, { runs: 0, steps: 0 }]));
const total = () => [...done.values()].reduce((sum, { steps }) => sum + steps, 0);
let seed = firstSeed;
let reported = 0;

/** The remaining share, by the rate so far if steps are counted. */
function left(): string {
  const bySteps = (maxSteps - total()) * elapsed() / Math.max(1, total()) / 1_000;
  const time = Math.max(0, Math.min(seconds - elapsed() / 1_000, bySteps));
  return `${Math.ceil(time)} s left`;
}

function report(what: string): void {
  const parts = [...done].map(([name, { runs, steps }]) =>
    `${name} ${steps} steps in ${runs} runs`
  );
  console.log(`${what}: ${parts.join(", ")}; from seed ${firstSeed}; ${left()}`);
}

globalThis.addEventListener("unhandledrejection", ({ reason }) => {
  console.error(`seed ${seed}: nobody handles`, reason);
});

while (elapsed() < seconds * 1_000 && total() < maxSteps) {
  for (const name of names) {
    const { runs, steps, failure } = await walks[name]!(seed);
    const sum = done.get(name)!;
    sum.runs += runs;
    sum.steps += steps;
    if (failure !== undefined) {
      report("a law is broken");
      console.error(`--what ${name} --seed ${seed} breaks it at once:\n  ${failure}`);
      Deno.exit(1);
    }
    if (elapsed() - reported > REPORT_INTERVAL) {
      reported = elapsed();
      report("so far");
    }
    await new Promise((resolve) => setTimeout(resolve)); // for unhandled rejections
  }
  seed = (seed + 1) | 0;
}
report("nothing lost");
