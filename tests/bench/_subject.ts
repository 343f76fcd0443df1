/**
 * Runs the cases of one subject, or the named ones, in its own process, and writes the
 * results to a file:
 *
 *     deno run -A tests/bench/_subject.ts ORDER
 *
 * @module
 */

import { type Case, type CaseResult, type EffortName, runCases } from "./_bench.ts";
import { ProgressLine } from "../../tools/_progress.ts";
import { table } from "./_table.ts";

/** What is to be run, as JSON. */
export interface Order {
  readonly file: string;
  readonly effort: EffortName;
  /** The cases by name, all, or those of `--quick`. */
  readonly cases: readonly string[] | "all" | "quick";
  readonly output: string;
  /** The date at which it gives up; what was measured before is written. */
  readonly deadline: number | null;
  /** When the whole run began, and which part of it this is. */
  readonly progress: { readonly began: number; readonly from: number; readonly to: number };
}

async function run({ file, effort, cases, output, deadline, progress }: Order): Promise<void> {
  if (deadline !== null) setTimeout(() => Deno.exit(1), deadline - Date.now());
  const { default: all } = await import(file) as { default: Case[] };
  const chosen = all.filter(({ name, isQuick }) =>
    cases === "all" || (cases === "quick" ? isQuick : cases.includes(name))
  );
  const results: CaseResult[] = [];
  const line = new ProgressLine(progress.began);
  await runCases(chosen, effort, {
    result(result) {
      line.clear();
      console.log(`${table(result)}\n`);
      results.push(result);
      Deno.writeTextFileSync(output, JSON.stringify(results));
    },
    progress(share, name) {
      line.update(progress.from + share * (progress.to - progress.from), name);
    },
  });
  line.clear();
  Deno.exit();
}

if (import.meta.main) await run(JSON.parse(Deno.args[0]!));
