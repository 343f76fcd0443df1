/**
 * Runs the cases of one subject, or those named, in a process of its own, and
 * writes what was measured to a file:
 *
 *     deno run -A tests/bench/_subject.ts FILE thorough|quick OUTPUT DEADLINE [CASE…]
 *
 * It gives up when the date is past the deadline; what was measured before is written.
 *
 * @module
 */

import { type Case, type CaseResult, runCases } from "./_bench.ts";
import { ProgressLine } from "../../tools/_progress.ts";
import { table } from "./_table.ts";

const [file, effort, output, deadline, ...names] = Deno.args as [
  string,
  string,
  string,
  string,
  ...string[],
];
const left = Number(deadline) - Date.now();
if (left < Infinity) setTimeout(() => Deno.exit(1), left);
const isQuick = effort === "quick";
const { default: cases } = await import(file) as { default: Case[] };
const results: CaseResult[] = [];
const progress = new ProgressLine();
await runCases(
  cases.filter((each) => names.length > 0 ? names.includes(each.name) : !isQuick || each.isQuick),
  isQuick,
  {
    result(result) {
      progress.clear();
      console.log(`${table(result)}\n`);
      results.push(result);
      Deno.writeTextFileSync(output, JSON.stringify(results));
    },
    progress: (share, name) => progress.update(share, name),
  },
);
Deno.exit();
