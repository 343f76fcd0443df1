/**
 * Runs the benchmarks, and compares them with the goals:
 *
 *     deno task bench [SUBJECT…] [--quick | --trial] [--save]
 *
 * With `--save`, writes the results to `results.json`, from which `deno task bench:plot`
 * draws. With `--quick`, runs a selection for less than a minute, and fails if a goal is
 * missed by more than its margin twice in a row.
 * With `--trial`, runs everything in a few rounds, to try a benchmark.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { deno } from "../../tools/_deno.ts";
import type { CaseResult, Results, Saved } from "./_results.ts";
import { cpuTimeOf } from "./_cpu_time.ts";
import { machine } from "./_machine.ts";
import type { Order } from "./_subject.ts";
import { rounded } from "./_table.ts";
import { judge, type Verdict } from "./goals.ts";

/** The time limit of `--quick`, in milliseconds. */
const QUICK_LIMIT = 60_000;

/** Files without an underscore that are not subjects. */
const OTHERS = ["main.ts", "goals.ts"];

/** What comes first, in case that the time does not suffice for all. */
const FIRST = ["pool", "sockets", "tasks"];
const placeOf = (subject: string) => [...FIRST, subject].indexOf(subject);

const FLAGS = ["--quick", "--trial", "--save"];

const here = (name: string) => new URL(name, import.meta.url);
const subjects = [...Deno.readDirSync(here("."))]
  .map(({ name }) => name)
  .filter((name) => /^[^_].*\.ts$/.test(name) && !OTHERS.includes(name))
  .map((name) => name.slice(0, -".ts".length))
  .sort((a, b) => placeOf(a) - placeOf(b) || (a < b ? -1 : 1));
const saved = here("results.json");
const flags = Deno.args.filter((arg) => arg.startsWith("--"));
const named = Deno.args.filter((arg) => !arg.startsWith("--"));
const isQuick = flags.includes("--quick");
const effort = isQuick ? "quick" : flags.includes("--trial") ? "trial" : "thorough";

checkArguments();
const before = await readSaved();
const deadline = isQuick ? Date.now() + QUICK_LIMIT : Infinity;
const isOver = () => Date.now() >= deadline;
const seconds: Record<string, number> = {};
console.log(`CPU time is that of the ${cpuTimeOf}\n`);
const selection = isQuick ? "quick" : "all";
const results = await run(
  new Map((named.length > 0 ? named : subjects).map((name) => [name, selection])),
);
if (flags.includes("--save")) await save(results);
let verdicts = judge(results);
if (isQuick) verdicts = await confirm(verdicts);
report(verdicts);
if (isOver()) console.log("The time was over before all was measured");
Deno.exit(isQuick && verdicts.some(({ state }) => state === "missed") ? 1 : 0);

function checkArguments(): void {
  const unknown = flags.filter((flag) => !FLAGS.includes(flag));
  unknown.push(...named.filter((name) => !subjects.includes(name)));
  if (isQuick && flags.length > 1) unknown.push(`${flags.join(" with ")}`);
  if (unknown.length === 0) return;
  const known = [...subjects, ...FLAGS].join(", ");
  console.error(`What is ${unknown.join(", ")}? There are ${known}`);
  Deno.exit(2);
}

/** Measures cases of each subject, until the time is over. */
async function run(cases: ReadonlyMap<string, Order["cases"]>): Promise<Results> {
  const results: Results = {};
  const began = Date.now();
  const shares = sharesOf([...cases.keys()]);
  let from = 0;
  for (const [subject, chosen] of cases) {
    if (isOver()) break;
    const to = from + shares.get(subject)!;
    const since = Date.now();
    results[subject] = await runSubject(subject, chosen, { began, from, to });
    seconds[subject] = Math.round((Date.now() - since) / 1_000);
    from = to;
  }
  return results;
}

/** Which part of the time each of these takes, as it did when results were last saved. */
function sharesOf(subjects: readonly string[]): Map<string, number> {
  const known = before?.seconds ?? {};
  const times = Object.values(known);
  const typical = times.length > 0 ? times.reduce((a, b) => a + b) / times.length : 1;
  const expected = subjects.map((subject) => isQuick ? 1 : known[subject] ?? typical);
  const all = expected.reduce((a, b) => a + b, 0);
  return new Map(subjects.map((subject, i) => [subject, expected[i]! / all]));
}

async function runSubject(
  subject: string,
  cases: Order["cases"],
  progress: Order["progress"],
): Promise<CaseResult[]> {
  console.log(`%c${subject}\n`, "font-weight: bold");
  const output = await Deno.makeTempFile();
  const order: Order = {
    file: here(`${subject}.ts`).href,
    effort,
    cases,
    output,
    deadline: isQuick ? deadline : null,
    progress,
  };
  try {
    const code = await deno([
      "run",
      "--quiet",
      "--no-check",
      "--allow-all",
      `--lock=${fileURLToPath(here("npm.lock"))}`,
      "--v8-flags=--expose-gc", // to measure memory
      here("_subject.ts").href,
      JSON.stringify(order),
    ]);
    if (code !== 0 && !isOver()) throw new Error(`${subject} failed`);
    return JSON.parse(await Deno.readTextFile(output) || "[]");
  } finally {
    await Deno.remove(output);
  }
}

/** Repeats cases that missed their goal, since the machine may have been busy. */
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

async function readSaved(): Promise<Saved | undefined> {
  return await Deno.readTextFile(saved).then(JSON.parse, () => undefined);
}

/** Replaces what was saved of these subjects; what was measured elsewhere goes. */
async function save(results: Results): Promise<void> {
  const now = { date: new Date().toISOString().slice(0, 10), machine: machine() };
  const same = JSON.stringify(before?.machine) === JSON.stringify(now.machine) ? before : undefined;
  const all: Saved = {
    ...now,
    seconds: { ...same?.seconds, ...seconds },
    results: { ...same?.results, ...results },
  };
  await Deno.writeTextFile(saved, `${JSON.stringify(all, null, 1)}\n`);
}
