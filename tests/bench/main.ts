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

import { fileURLToPath } from "node:url";
import { deno } from "../../tools/_deno.ts";
import type { CaseResult } from "./_bench.ts";
import { machine } from "./_machine.ts";
import { rounded } from "./_table.ts";
import { judge, type Results, type Verdict } from "./goals.ts";

/** What `--quick` may take in all, in milliseconds. */
const QUICK_LIMIT = 60_000;

/** What is not a subject has an underscore, but for these. */
const OTHERS = ["main.ts", "goals.ts"];

const here = (name: string) => new URL(name, import.meta.url);
const subjects = [...Deno.readDirSync(here("."))]
  .map(({ name }) => name)
  .filter((name) => /^[^_].*\.ts$/.test(name) && !OTHERS.includes(name))
  .map((name) => name.slice(0, -".ts".length))
  .sort();
const saved = here("results.json");
const flags = Deno.args.filter((arg) => arg.startsWith("--"));
const named = Deno.args.filter((arg) => !arg.startsWith("--"));
const isQuick = flags.includes("--quick");

checkArguments();
const deadline = isQuick ? Date.now() + QUICK_LIMIT : Infinity;
const isOver = () => Date.now() >= deadline;
const results = await run(new Map((named.length > 0 ? named : subjects).map((name) => [name, []])));
if (flags.includes("--save")) await save(results);
let verdicts = judge(results);
if (isQuick) verdicts = await confirm(verdicts);
report(verdicts);
if (isOver()) console.log("The time was over before all was measured");
Deno.exit(isQuick && verdicts.some(({ state }) => state === "missed") ? 1 : 0);

function checkArguments(): void {
  const unknown = flags.filter((flag) => flag !== "--quick" && flag !== "--save");
  unknown.push(...named.filter((name) => !subjects.includes(name)));
  if (isQuick && flags.includes("--save")) unknown.push("--save with --quick");
  if (unknown.length === 0) return;
  console.error(`What is ${unknown.join(", ")}? There are ${subjects.join(", ")}, --quick, --save`);
  Deno.exit(2);
}

/** Measures the cases named of each subject, or all of it, until the time is over. */
async function run(cases: ReadonlyMap<string, string[]>): Promise<Results> {
  const results: Results = {};
  for (const [subject, names] of cases) {
    const measured = await runSubject(subject, names);
    if (measured !== undefined) results[subject] = measured;
  }
  return results;
}

async function runSubject(subject: string, names: string[]): Promise<CaseResult[] | undefined> {
  if (isOver()) return undefined;
  console.log(`%c${subject}\n`, "font-weight: bold");
  const output = await Deno.makeTempFile();
  try {
    const code = await deno([
      "run",
      "--quiet",
      "--no-check",
      "--allow-all",
      `--lock=${fileURLToPath(here("npm.lock"))}`,
      "--v8-flags=--expose-gc", // for those who measure memory
      here("_subject.ts").href,
      here(`${subject}.ts`).href,
      isQuick ? "quick" : "thorough",
      output,
      `${deadline}`,
      ...names,
    ]);
    if (code !== 0 && !isOver()) throw new Error(`${subject} failed`);
    return JSON.parse(await Deno.readTextFile(output) || "[]");
  } finally {
    await Deno.remove(output);
  }
}

/** Measures once more what has missed its goal, for which a busy machine may be to blame. */
async function confirm(verdicts: Verdict[]): Promise<Verdict[]> {
  const missed = verdicts.filter(({ state }) => state === "missed").map(({ goal }) => goal);
  if (missed.length === 0) return verdicts;
  console.log("Once more what has missed its goal:\n");
  const cases = new Map(missed.map(({ subject }) => [subject, [] as string[]]));
  for (const goal of missed) cases.get(goal.subject)!.push(...goal.cases);
  const again = judge(await run(cases));
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
