import { bestPeer, type CaseResult, floor, ratio, type Row } from "./_bench.ts";

/** The case as a table: what each contender takes, and how that compares. */
export function table(result: CaseResult): string {
  const reference = { floor: floor(result), peer: bestPeer(result) };
  const { floor: least, peer } = reference;
  const heads = [
    "",
    `${amountName(result)}`,
    ...least ? ["× floor"] : [],
    ...peer ? ["× best peer"] : [],
  ];
  const lines = result.rows.map((row) => [
    row.name,
    `${shown(row.median, result.unit)} ${spread(row)}`,
    ...least ? [factor(row, least)] : [],
    ...peer ? [factor(row, peer)] : [],
  ]);
  return aligned([heads, ...lines]);
}

/** A figure with a unit that suits its size. */
export function shown(value: number, unit: CaseResult["unit"]): string {
  const scales = unit === "B"
    ? [["B", 1], ["KiB", 1024], ["MiB", 1024 ** 2]] as const
    : [["ns", 1], ["µs", 1e3], ["ms", 1e6], ["s", 1e9]] as const;
  const [name, scale] = scales.findLast(([, scale]) => Math.abs(value) >= scale) ?? scales[0];
  return `${rounded(value / scale)} ${name}`;
}

/** Three digits, or all before the point. */
export function rounded(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

function amountName({ name, per }: CaseResult): string {
  return `${name}: per ${per}`;
}

/** How far a typical sample is from the median, of it. */
function spread({ samples, median }: Row): string {
  const sorted = samples.toSorted((a, b) => a - b);
  const quarter = Math.floor(sorted.length / 4);
  const range = sorted.at(-1 - quarter)! - sorted[quarter]!;
  return `±${Math.round(50 * range / Math.abs(median))}%`.padStart(5);
}

function factor(row: Row, reference: Row): string {
  return row === reference ? "1" : rounded(ratio(row, reference));
}

function aligned(lines: string[][]): string {
  const widths = lines[0]!.map((_, column) =>
    Math.max(...lines.map((line) => line[column]!.length))
  );
  return lines.map((line) =>
    line.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)
    ).join("  ").trimEnd()
  ).join("\n");
}
