import type { Outcome } from "./outcome.ts";

/** The outcome of one option set, with one varied value if there is one. */
export interface Result {
  readonly set: string;
  readonly value?: number;
  readonly outcome: Outcome;
}

const COLUMNS: Record<string, (outcome: Outcome) => string> = {
  "arrived": ({ arrived }) => whole(arrived),
  "wait p50": ({ waits }) => time(waits.p50),
  "p90": ({ waits }) => time(waits.p90),
  "p99": ({ waits }) => time(waits.p99),
  "total p99": ({ totals }) => time(totals.p99),
  "goodput": ({ goodput }) => `${goodput < 100 ? goodput.toFixed(1) : whole(goodput)}/s`,
  "shed": ({ shed }) => whole(shed),
  "timed out": ({ timedOut }) => whole(timedOut),
  "exhausted": ({ exhausted }) => whole(exhausted),
  "failed": ({ failed }) => whole(failed),
  "queue": ({ longestQueue }) => whole(longestQueue),
  "dials": ({ dials }) =>
    dials.failed === 0 ? whole(dials.ok) : `${whole(dials.ok)} + ${whole(dials.failed)} failed`,
};

/** Results in columns, a line each. `varied` names the varied value. */
export function table(results: readonly Result[], varied?: string): string {
  const heads = ["options", ...(varied === undefined ? [] : [varied]), ...Object.keys(COLUMNS)];
  const lines = results.map(({ set, value, outcome }) => [
    set,
    ...(varied === undefined ? [] : [String(value)]),
    ...Object.values(COLUMNS).map((cell) => cell(outcome)),
  ]);
  const all = [heads, ...lines];
  const widths = heads.map((_, column) => Math.max(...all.map((line) => line[column]!.length)));
  const aligned = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!);
  return all.map((line) => line.map(aligned).join("  ").trimEnd()).join("\n");
}

function whole(number: number): string {
  return Math.round(number).toLocaleString("en-US");
}

function time(ms: number): string {
  return ms < 100 ? `${Number(ms.toFixed(1))} ms` : `${whole(ms)} ms`;
}
