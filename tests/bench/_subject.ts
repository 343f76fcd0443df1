/**
 * Runs the cases of one subject, in a process of its own, and writes what was
 * measured to a file:
 *
 *     deno run -A --v8-flags=--expose-gc tests/bench/_subject.ts FILE thorough|quick OUTPUT
 *
 * @module
 */

import { type Case, runCases } from "./_bench.ts";
import { table } from "./_table.ts";

const [file, effort, output] = Deno.args as [string, string, string];
const { default: cases } = await import(file) as { default: Case[] };
const results = await runCases(
  cases,
  effort === "quick",
  (result) => console.log(`${table(result)}\n`),
);
await Deno.writeTextFile(output, JSON.stringify(results));
