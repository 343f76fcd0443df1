/**
 * Runs pools through random sequences of steps, in virtual time, and checks the
 * laws of `tests/support/model_laws.ts` after each:
 *
 *     deno task soak [--seconds N] [--steps N] [--seed N]
 *
 * It ends with the first law that is broken, or when the seconds are over or the
 * steps done: 60 seconds, unless told otherwise. The same seed does the same.
 *
 * @module
 */

import { explore } from "../tests/support/explore.ts";

/** Runs in one batch, each batch with a seed of its own. */
const BATCH = 200;
const REPORT_INTERVAL = 30_000;

function argument(name: string): number | undefined {
  const index = Deno.args.indexOf(`--${name}`);
  if (index < 0) return undefined;
  const value = Number(Deno.args[index + 1]);
  if (Number.isFinite(value)) return value;
  throw new TypeError(`--${name} must be followed by a number: received ${Deno.args[index + 1]}`);
}

const maxSteps = argument("steps") ?? Infinity;
const seconds = argument("seconds") ?? (maxSteps === Infinity ? 60 : Infinity);
const firstSeed = argument("seed") ?? Math.floor(Math.random() * 2 ** 31);

const start = performance.now();
const elapsed = () => performance.now() - start;
let seed = firstSeed;
let runs = 0;
let steps = 0;
let reported = 0;

const report = (what: string) => {
  const rate = Math.round(steps / elapsed() * 1_000);
  console.log(`${what}: ${runs} episodes, ${steps} steps, ${rate}/s, from seed ${firstSeed}`);
};

globalThis.addEventListener("unhandledrejection", ({ reason }) => {
  console.error(`seed ${seed}: nobody handles`, reason);
});

while (elapsed() < seconds * 1_000 && steps < maxSteps) {
  const batch = await explore(seed, BATCH);
  runs += batch.runs;
  steps += batch.steps;
  if (batch.failure !== undefined) {
    report("a law is broken");
    console.error(`--seed ${seed} breaks it at once:\n  ${batch.failure}`);
    Deno.exit(1);
  }
  seed = (seed + 1) | 0;
  if (elapsed() - reported > REPORT_INTERVAL) {
    reported = elapsed();
    report("so far");
  }
  await new Promise((resolve) => setTimeout(resolve)); // for rejections that nobody handles
}
report("nothing lost");
