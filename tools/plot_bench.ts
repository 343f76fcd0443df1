/**
 * Draws the results of `deno task bench --save` into `docs/bench/`, and writes the
 * figures into docs/performance.md, between its marks:
 *
 *     deno run -A tools/plot_bench.ts
 *
 * @module
 */

import {
  bestPeer,
  type CaseResult,
  figure,
  floor,
  type Measure,
  ours,
  ratio,
  type Row,
  type Saved,
} from "../tests/bench/_results.ts";
import { rounded, shown } from "../tests/bench/_table.ts";
import { bars, COLUMN, dots, growth, shares } from "./_bench_plots.ts";

/** The plots of each subject. */
interface Figure {
  readonly subject: string;
  readonly draw: (results: readonly CaseResult[]) => string;
  readonly takes?: (name: string) => boolean;
  /** Which contenders are shown: all, if it is not said. */
  readonly shows?: (row: Row, result: CaseResult) => boolean;
}

const at = (path: string) => new URL(`../${path}`, import.meta.url);
const USUAL = ["sequential", "100 a turn", "100 tasks on 10", "use"];
const MANY = /^\d.* waiters$/;

const figures: Record<string, Figure> = {
  pool: {
    subject: "pool",
    draw: dots,
    takes: (name) => !name.endsWith(", alone") && !MANY.test(name) && name !== "tryAcquire",
    shows: (row, result) => row.role !== "ours" || row === ours(result),
  },
  pool_options: {
    subject: "pool",
    draw: dots,
    takes: (name) => USUAL.includes(name),
    shows: ({ role }) => role !== "peer",
  },
  waiters: { subject: "pool", draw: growth, takes: (name) => MANY.test(name) },
  sockets: { subject: "sockets", draw: shares, takes: (name) => COLUMN.test(name) },
  sockets_other: { subject: "sockets", draw: dots, takes: (name) => !COLUMN.test(name) },
  tasks: { subject: "tasks", draw: dots, takes: (name) => /00 at 10$/.test(name) },
  memory: { subject: "memory", draw: bars, takes: (name) => name.endsWith("heap") },
  cancel: { subject: "cancel", draw: growth },
  observing: { subject: "observing", draw: dots },
  drivers: { subject: "drivers", draw: dots },
  cluster: { subject: "cluster", draw: dots },
};

const { date, machine, results }: Saved = JSON.parse(
  await Deno.readTextFile(at("tests/bench/results.json")),
);

await Deno.mkdir(at("docs/bench"), { recursive: true });
for (const [name, { subject, draw, takes = () => true, shows }] of Object.entries(figures)) {
  const taken = results[subject]?.filter(({ name }) => takes(name)) ?? [];
  const shown = taken.map((result) => ({
    ...result,
    rows: result.rows.filter((row) => shows?.(row, result) ?? true),
  }));
  if (shown.length > 0) await Deno.writeTextFile(at(`docs/bench/${name}.svg`), draw(shown));
}
await replaceInPage(`${conditions()}\n\n${tables()}`);

/** The machine of the measurements. */
function conditions(): string {
  const { cpu, cores, memory, system, cpuTimeOf, versions } = machine;
  const { deno, v8, ...peers } = versions;
  const beside = Object.entries(peers).map(([name, version]) => `${name} ${version}`).join(", ");
  return `Measured on ${date}: ${cpu}, ${cores} cores, ${memory} GiB, ${system}; ` +
    `Deno ${deno} (V8 ${v8}); ${beside}. CPU time is that of the ${cpuTimeOf}.`;
}

/** All that was measured, a table for each subject. */
function tables(): string {
  const subjects = new Set(Object.values(figures).map(({ subject }) => subject));
  return [...subjects].flatMap((subject) => {
    const all = results[subject];
    if (all === undefined) return [];
    const lines = all.flatMap((result) =>
      result.rows.filter(({ role }) => role === "ours").map((own) => line(result, own))
    );
    const heads = ["", "sockpool", "wall", "the least", "wall", "", "best peer", "wall", ""];
    return [`### ${subject}`, "", row(heads), row(heads.map(() => "-")), ...lines].join("\n");
  }).join("\n\n");
}

function line(result: CaseResult, own: Row): string {
  const variant = own === ours(result) ? "" : `; ${own.name}`;
  const beside = [floor(result), bestPeer(result)].flatMap((other) => compared(result, own, other));
  return row([`${result.name}${variant}`, ...amounts(result.by, own), ...beside]);
}

/** What counts, and the wall time if that is something else. */
function amounts(by: Measure, own: Row): string[] {
  return [shown(figure(own, by), by), by === "cpu" ? shown(figure(own, "wall"), "wall") : ""];
}

/** A loss to a peer is bold. */
function compared(result: CaseResult, own: Row, other: Row | undefined): string[] {
  if (other === undefined) return ["", "", ""];
  const [amount, wall] = amounts(result.by, other);
  const factor = ratio(result, own, other);
  const text = `× ${rounded(factor)}`;
  const isLoss = other.role === "peer" && factor > 1;
  return [`${amount} (${other.name})`, wall!, isLoss ? `**${text}**` : text];
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

async function replaceInPage(text: string): Promise<void> {
  const page = await Deno.readTextFile(at("docs/performance.md"));
  const [begin, end] = ["<!-- bench -->", "<!-- /bench -->"];
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from < 0 || to < from) throw new Error(`docs/performance.md must have ${begin} and ${end}`);
  const replaced = `${page.slice(0, from + begin.length)}\n\n${text}\n\n${page.slice(to)}`;
  await Deno.writeTextFile(at("docs/performance.md"), replaced);
  await new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--quiet", at("docs/performance.md").pathname],
  })
    .output();
}
