import type { Request } from "./flags.ts";
import { Progress } from "./progress.ts";
import { simulate } from "./simulation.ts";
import { csv, type Result, table } from "./table.ts";

/** Simulates each option set, with each varied value. */
export async function run({ scenario, varied, sets, against }: Request): Promise<Result[]> {
  const runs = sets.flatMap(({ name: set, options }) =>
    against === undefined ? [{ set, scenario, options }] : against.values.map((value) => {
      const [changed, merged] = varied(value, options);
      return { set, value, scenario: changed, options: merged };
    })
  );
  const progress = new Progress(runs.length);
  const results: Result[] = [];
  for (const [index, { scenario, options, ...labels }] of runs.entries()) {
    const outcome = await simulate(scenario, options, (done) => progress.show(index, done));
    results.push({ ...labels, outcome });
  }
  progress.end();
  return results;
}

/** The figures, as text. */
export function print({ against, format }: Request, results: readonly Result[]): string {
  if (format === "json") return JSON.stringify(results, undefined, 2);
  return (format === "csv" ? csv : table)(results, against?.name);
}
