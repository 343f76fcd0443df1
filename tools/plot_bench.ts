/**
 * Draws the results of `deno task bench --save` into `docs/bench/`, and writes the
 * figures into docs/performance.md, between its marks:
 *
 *     deno run -A tools/plot_bench.ts
 *
 * @module
 */

import { bestPeer, type CaseResult, floor, ours, ratio, type Row } from "../tests/bench/_bench.ts";
import type { Machine } from "../tests/bench/_machine.ts";
import { rounded, shown } from "../tests/bench/_table.ts";
import type { Results } from "../tests/bench/goals.ts";
import { bars, dots, growth, shares } from "./_bench_plots.ts";

interface Saved {
  readonly date: string;
  readonly machine: Machine;
  readonly results: Results;
}

/** The plots of each subject. */
interface Figure {
  readonly subject: string;
  readonly draw: (results: readonly CaseResult[]) => string;
  readonly takes?: (name: string) => boolean;
}

const at = (path: string) => new URL(`../${path}`, import.meta.url);
const endsIn = (...endings: string[]) => (name: string) =>
  endings.some((ending) => name.endsWith(ending));

const figures: Record<string, Figure> = {
  pool: {
    subject: "pool",
    draw: dots,
    takes: (name) => !/waiters/.test(name) && name !== "tryAcquire",
  },
  waiters: { subject: "pool", draw: growth, takes: (name) => /^\d.* waiters$/.test(name) },
  sockets: { subject: "sockets", draw: shares },
  tasks: { subject: "tasks", draw: dots, takes: endsIn("100,000 at 10") },
  memory: { subject: "memory", draw: bars, takes: endsIn("heap") },
  cancel: { subject: "cancel", draw: growth },
};

/** The tables of docs/performance.md: all cases of a subject, or some. */
const rows: Record<string, (name: string) => boolean> = {
  pool: endsIn("sequential", "100 tasks on 10", "20,000 waiters", "use", "a signal each"),
  sockets: endsIn("64 B, 10 borrowers", "64 KiB, 10 borrowers"),
  tasks: endsIn("100,000 at 10", "queued task"),
  memory: endsIn("heap"),
  cancel: endsIn("100,000"),
};

const { date, machine, results }: Saved = JSON.parse(
  await Deno.readTextFile(at("tests/bench/results.json")),
);

await Deno.mkdir(at("docs/bench"), { recursive: true });
for (const [name, { subject, draw, takes = () => true }] of Object.entries(figures)) {
  const shown = results[subject]?.filter(({ name }) => takes(name)) ?? [];
  if (shown.length > 0) await Deno.writeTextFile(at(`docs/bench/${name}.svg`), draw(shown));
}
await replaceInReadme(`${conditions()}\n\n${table()}`);

/** The machine of the measurements. */
function conditions(): string {
  const { cpu, cores, memory, system, versions } = machine;
  const { deno, v8, ...peers } = versions;
  const beside = Object.entries(peers).map(([name, version]) => `${name} ${version}`).join(", ");
  return `Measured on ${date}: ${cpu}, ${cores} cores, ${memory} GiB, ${system}; ` +
    `Deno ${deno} (V8 ${v8}); ${beside}.`;
}

function table(): string {
  const lines = Object.entries(rows).flatMap(([subject, takes]) =>
    (results[subject] ?? []).filter(({ name }) => takes(name)).flatMap((result) =>
      result.rows.filter(({ role }) => role === "ours").map((own) => line(subject, result, own))
    )
  );
  return ["| | sockpool | the least there is | | the best peer | |", "|-|-|-|-|-|-|", ...lines]
    .join("\n");
}

function line(subject: string, result: CaseResult, own: Row): string {
  const manner = own === ours(result) ? "" : `; ${own.name}`;
  const beside = [floor(result), bestPeer(result)].flatMap((row) => compared(result, own, row));
  const cells = [`${subject}: ${result.name}${manner}`, shown(own.median, result.unit), ...beside];
  return `| ${cells.join(" | ")} |`;
}

function compared(result: CaseResult, own: Row, other: Row | undefined): string[] {
  if (other === undefined) return ["", ""];
  const factor = `× ${rounded(ratio(own, other))}`;
  return [`${shown(other.median, result.unit)} (${other.name})`, factor];
}

async function replaceInReadme(text: string): Promise<void> {
  const readme = await Deno.readTextFile(at("docs/performance.md"));
  const [begin, end] = ["<!-- bench -->", "<!-- /bench -->"];
  const from = readme.indexOf(begin);
  const to = readme.indexOf(end);
  if (from < 0 || to < from) throw new Error(`docs/performance.md must have ${begin} and ${end}`);
  const replaced = `${readme.slice(0, from + begin.length)}\n\n${text}\n\n${readme.slice(to)}`;
  await Deno.writeTextFile(at("docs/performance.md"), replaced);
  await new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", at("docs/performance.md").pathname],
  })
    .output();
}
