import type { Outcome } from "./outcome.ts";

/** The outcome of one option set, with one varied value if there is one. */
export interface Result {
  readonly set: string;
  readonly value?: number;
  readonly outcome: Outcome;
}

/** A column of the table. Counts are left out where they are 0 in all lines. */
interface Column {
  readonly head: string;
  readonly cell: (outcome: Outcome) => string;
  readonly count?: (outcome: Outcome) => number;
}

const COLUMNS: readonly Column[] = [
  counts("arrived", ({ arrived }) => arrived),
  counts("retries", ({ retries }) => retries),
  { head: "wait p50", cell: ({ waits }) => time(waits.p50) },
  { head: "p90", cell: ({ waits }) => time(waits.p90) },
  { head: "p99", cell: ({ waits }) => time(waits.p99) },
  {
    head: "urgent p99",
    cell: ({ urgent }) => time(urgent.waits.p99),
    count: ({ urgent }) => urgent.arrived,
  },
  { head: "total p99", cell: ({ totals }) => time(totals.p99) },
  {
    head: "goodput",
    cell: ({ goodput }) => `${goodput < 100 ? goodput.toFixed(1) : whole(goodput)}/s`,
  },
  { head: "in use", cell: ({ inUse }) => inUse.toFixed(1) },
  counts("shed", ({ shed }) => shed),
  counts("timed out", ({ timedOut }) => timedOut),
  counts("exhausted", ({ exhausted }) => exhausted),
  counts("failed", ({ failed }) => failed),
  counts("urgent refused", ({ urgent }) => urgent.refused),
  {
    head: "gave up",
    cell: ({ gaveUp }) => whole(gaveUp),
    count: ({ retries }) => retries,
  },
  { head: "queue", cell: ({ longestQueue }) => whole(longestQueue) },
  {
    head: "dials",
    cell: ({ dials }) =>
      dials.failed === 0 ? whole(dials.ok) : `${whole(dials.ok)} + ${whole(dials.failed)} failed`,
  },
  { head: "end", cell: ({ end }) => `${(end / 1_000).toFixed(1)} s` },
];

function counts(head: string, count: (outcome: Outcome) => number): Column {
  return { head, count, cell: (outcome) => whole(count(outcome)) };
}

/** Results in columns, a line each. `varied` names the varied value. */
export function table(results: readonly Result[], varied?: string): string {
  const columns = COLUMNS.filter(({ count }) =>
    count === undefined || results.some(({ outcome }) => count(outcome) > 0)
  );
  const heads = [
    "options",
    ...(varied === undefined ? [] : [varied]),
    ...columns.map(({ head }) => head),
  ];
  const lines = results.map(({ set, value, outcome }) => [
    set,
    ...(varied === undefined ? [] : [String(value)]),
    ...columns.map(({ cell }) => cell(outcome)),
  ]);
  const all = [heads, ...lines];
  const widths = heads.map((_, column) => Math.max(...all.map((line) => line[column]!.length)));
  const aligned = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!);
  return all.map((line) => line.map(aligned).join("  ").trimEnd()).join("\n");
}

/** All figures, a line for each result; those within others have names such as `waits.p50`. */
export function csv(results: readonly Result[], varied?: string): string {
  const lines = results.map(({ set, value, outcome }) => ({
    options: set,
    ...(varied === undefined ? {} : { [varied]: value }),
    ...flat(outcome),
  }));
  return [Object.keys(lines[0]!), ...lines.map((line) => Object.values(line))]
    .map((line) => line.map(quoted).join(",")).join("\n");
}

function flat(figures: object, prefix = ""): Record<string, number> {
  return Object.fromEntries(
    Object.entries(figures).flatMap(([name, figure]) =>
      typeof figure === "object"
        ? Object.entries(flat(figure, `${prefix}${name}.`))
        : [[prefix + name, figure]]
    ),
  );
}

function quoted(cell: unknown): string {
  const text = String(cell);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function whole(number: number): string {
  return Math.round(number).toLocaleString("en-US");
}

function time(ms: number): string {
  return ms < 100 ? `${Number(ms.toFixed(1))} ms` : `${whole(ms)} ms`;
}
