import {
  bestPeer,
  type CaseResult,
  figure,
  floor,
  type Measure,
  type Quartiles,
  ratio,
  type Row,
} from "./_results.ts";

/** The case as a table: the figure of each contender, and the ratios. */
export function table(result: CaseResult): string {
  const { by } = result;
  const reference = { floor: floor(result), peer: bestPeer(result) };
  const { floor: least, peer } = reference;
  const hasWall = by === "cpu";
  const heads = [
    "",
    `${result.name}: ${MEASURES[by]} per ${result.per}`,
    ...hasWall ? ["wall"] : [],
    ...least ? ["× floor"] : [],
    ...peer ? ["× best peer"] : [],
  ];
  const lines = result.rows.map((row) => [
    row.name,
    `${shown(figure(row, by), by)} ${spread(row.quartiles[by]!)}`,
    ...hasWall ? [shown(figure(row, "wall"), "wall")] : [],
    ...least ? [factor(result, row, least)] : [],
    ...peer ? [factor(result, row, peer)] : [],
  ]);
  return aligned([heads, ...lines]);
}

/** What a measure is called. */
export const MEASURES: Record<Measure, string> = {
  cpu: "CPU time",
  wall: "wall time",
  bytes: "bytes",
};

/** A figure with a unit that suits its size. */
export function shown(value: number, measure: Measure): string {
  const scales = measure === "bytes"
    ? [["B", 1], ["KiB", 1024], ["MiB", 1024 ** 2]] as const
    : [["ns", 1], ["µs", 1e3], ["ms", 1e6], ["s", 1e9]] as const;
  const [name, scale] = scales.findLast(([, scale]) => Math.abs(value) >= scale) ?? scales[0];
  return `${rounded(value / scale)} ${name}`;
}

/** At least three digits. */
export function rounded(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** How far apart the middle half of the samples is, of the median. */
function spread([lower, middle, upper]: Quartiles): string {
  return `±${Math.round(50 * (upper - lower) / Math.abs(middle))}%`.padStart(5);
}

function factor(result: CaseResult, row: Row, reference: Row): string {
  return row === reference ? "1" : rounded(ratio(result, row, reference));
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
