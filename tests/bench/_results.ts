/** What has been measured, and how it is compared. */

import type { Machine } from "./_machine.ts";

/** The role of a contender. Several may be `ours`; ratios are about the first. */
export type Role = "ours" | "floor" | "peer";

/** What is measured of one operation: nanoseconds of the CPU and of the clock, or bytes. */
export type Measure = "cpu" | "wall" | "bytes";

/** The lower quartile, the median and the upper quartile. */
export type Quartiles = readonly [number, number, number];

/** What has been measured of one contender. */
export interface Row {
  readonly name: string;
  readonly role: Role;
  readonly quartiles: { readonly [measure in Measure]?: Quartiles };
}

/** The results of a case. */
export interface CaseResult {
  readonly name: string;
  readonly per: string;
  readonly by: Measure;
  readonly rows: Row[];
}

/** The results of each subject by name. */
export type Results = Record<string, CaseResult[]>;

/** What `results.json` has. */
export interface Saved {
  readonly date: string;
  readonly machine: Machine;
  /** How long each subject took. */
  readonly seconds: Readonly<Record<string, number>>;
  readonly results: Results;
}

/** Of a measure of one contender, the figure that counts. */
export function figure({ name, quartiles }: Row, by: Measure): number {
  const found = quartiles[by];
  if (found === undefined) throw new Error(`${name} has no ${by}`);
  return by === "bytes" ? found[1] : found[0];
}

/** The ratio of one contender's figure to another's: below 1 if it is better. */
export function ratio({ by }: CaseResult, one: Row, other: Row): number {
  return figure(one, by) / figure(other, by);
}

/** The contender that the case is about. */
export function ours({ rows }: CaseResult): Row {
  return rows.find(({ role }) => role === "ours")!;
}

/** The floor, if there is one. */
export function floor({ rows }: CaseResult): Row | undefined {
  return rows.find(({ role }) => role === "floor");
}

/** The peer with the least figure, if there is one. */
export function bestPeer({ rows, by }: CaseResult): Row | undefined {
  const peers = rows.filter(({ role }) => role === "peer");
  return peers.sort((a, b) => figure(a, by) - figure(b, by))[0];
}

/** The quartiles, each between the two values that are next to it. */
export function quartiles(values: readonly number[]): Quartiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number) => {
    const place = part * (sorted.length - 1);
    const [low, high] = [sorted[Math.floor(place)]!, sorted[Math.ceil(place)]!];
    return significant(low + (high - low) * (place % 1));
  };
  return [at(0.25), at(0.5), at(0.75)];
}

function significant(value: number): number {
  return Number(value.toPrecision(4));
}
