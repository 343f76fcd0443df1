/**
 * Runs the benchmarks, and says how they stand to the goals:
 *
 *     deno task bench [SUBJECT…] [--quick] [--save]
 *
 * With `--save`, writes what was measured to `results.json`, from which
 * `deno task bench:plot` draws. With `--quick`, runs a selection for less than a
 * minute, and fails if a goal is missed by more than its margin, twice in a row.
 *
 * @module
 */

import type { CaseResult } from "./_bench.ts";
import { machine } from "./_machine.ts";
import { rounded } from "./_table.ts";
import { judge, type Results, type Verdict } from "./goals.ts";

const subjects = ["pool", "sockets", "memory", "cancel"];

/** What `--quick` may take in all, in milliseconds. */
const QUICK_LIMIT = 60_000;

const here = (name: string) => new URL(name, import.meta.url);
const saved = here("results.json");
const flags = Deno.args.filter((arg) => arg.startsWith("--"));
const named = Deno.args.filter((arg) => !arg.startsWith("--"));
const isQuick = flags.includes("--quick");

checkArguments();
const deadline = AbortSignal.timeout(isQuick ? QUICK_LIMIT : 2 ** 31 - 1);
const results = await run(named.length > 0 ? named : subjects);
if (flags.includes("--save")) await save(results);
let verdicts = judge(results);
if (isQuick) verdicts = await confirm(verdicts);
report(verdicts);
Deno.exit(isQuick && verdicts.some(({ state }) => state === "missed") ? 1 : 0);

function checkArguments(): void {
  const unknown = flags.filter((flag) => flag !== "--quick" && flag !== "--save");
  unknown.push(...named.filter((name) => !subjects.includes(name)));
  if (isQuick && flags.includes("--save")) unknown.push("--save with --quick");
  if (unknown.length === 0) return;
  console.error(`What is ${unknown.join(", ")}? There are ${subjects.join(", ")}, --quick, --save`);
  Deno.exit(2);
}

async function run(names: readonly string[]): Promise<Results> {
  const results: Results = {};
  for (const name of names) results[name] = await runSubject(name);
  return results;
}

async function runSubject(name: string): Promise<CaseResult[]> {
  console.log(`%c${name}\n`, "font-weight: bold");
  const output = await Deno.makeTempFile();
  try {
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-check",
        "--allow-all",
        "--v8-flags=--expose-gc",
        here("_subject.ts").href,
        here(`${name}.ts`).href,
        isQuick ? "quick" : "thorough",
        output,
      ],
      signal: deadline,
    }).spawn();
    const { success } = await child.status;
    if (!success) throw new Error(deadline.aborted ? "The time is over" : `${name} failed`);
    return JSON.parse(await Deno.readTextFile(output));
  } finally {
    await Deno.remove(output);
  }
}

/** Measures once more what has missed its goal, for which a busy machine may be to blame. */
async function confirm(verdicts: Verdict[]): Promise<Verdict[]> {
  const missed = verdicts.filter(({ state }) => state === "missed");
  if (missed.length === 0) return verdicts;
  console.log("Something missed its goal. Once more:\n");
  const again = judge(await run([...new Set(missed.map(({ goal }) => goal.subject))]));
  return verdicts.map((verdict) => {
    const second = again.find(({ goal }) => goal === verdict.goal);
    return second !== undefined && second.figure < verdict.figure ? second : verdict;
  });
}

function report(verdicts: readonly Verdict[]): void {
  for (const { goal, figure, state } of verdicts) {
    const mark = { met: "met   ", nearly: "nearly", missed: "MISSED" }[state];
    const limit = rounded(goal.atMost);
    console.log(`${mark}  ${goal.subject}, ${goal.title} ${rounded(figure)} (goal: ${limit})`);
  }
}

/** Replaces what was saved of these subjects; whatever was measured elsewhere goes. */
async function save(results: Results): Promise<void> {
  const before = await Deno.readTextFile(saved).then(JSON.parse, () => ({}));
  const now = { date: new Date().toISOString().slice(0, 10), machine: machine() };
  const isSame = JSON.stringify(before.machine) === JSON.stringify(now.machine);
  const all = { ...isSame && before.results, ...results };
  await Deno.writeTextFile(saved, JSON.stringify({ ...now, results: all }, null, 1) + "\n");
}
