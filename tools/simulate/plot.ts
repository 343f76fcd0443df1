import { draw } from "../_bench_plots.ts";
import { Plot } from "../_npm.ts";
import type { Result } from "./table.ts";

const WIDTH = 760;
const HEIGHT = 260;
const LEGEND_HEIGHT = 22;
const GAP = 8;

// Of medium lightness, so that they are visible on white and on black.
const COLOURS = ["#e8590c", "#4c8fd6", "#2b9a66", "#a66cc4", "#b8860b", "#868e96"];

interface Point {
  readonly set: string;
  readonly x: number;
  readonly y: number;
}

/** Waits and served callers over the varied value, with a line for each option set. */
export function plot(results: readonly Result[], varied: string): string {
  const sets = [...new Set(results.map(({ set }) => set))];
  const points = (figure: (result: Result) => number): Point[] =>
    results.map((result) => ({ set: result.set, x: result.value!, y: figure(result) }));
  const waits = panel(varied, "wait of served callers, ms: median and, dashed, p99", [
    line(sets, points(({ outcome }) => outcome.waits.p50)),
    line(sets, points(({ outcome }) => outcome.waits.p99), "4 4"),
  ]);
  const goodput = panel(varied, "served in a second", [
    line(sets, points(({ outcome }) => outcome.goodput)),
  ]);
  const legends = sets.length > 1 ? sets : []; // a single one is named by the page
  const top = LEGEND_HEIGHT * legends.length + GAP;
  const height = top + 2 * HEIGHT + GAP;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" ` +
    `viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12">\n` +
    `${legends.map(legend).join("")}${at(top, waits)}${at(top + HEIGHT + GAP, goodput)}</svg>\n`;
}

function colourOf(sets: readonly string[], set: string): string {
  return COLOURS[sets.indexOf(set) % COLOURS.length]!;
}

function line(sets: readonly string[], points: readonly Point[], strokeDasharray = "none") {
  const stroke = ({ set }: Point) => colourOf(sets, set);
  return Plot.lineY(points, {
    x: "x",
    y: "y",
    z: "set",
    stroke,
    strokeWidth: 2,
    strokeDasharray,
  });
}

function panel(x: string, y: string, marks: Plot.Markish[]): string {
  return draw({
    height: HEIGHT,
    marginLeft: 56,
    x: { label: x === "rate" ? "callers in a second" : x },
    y: { grid: true, zero: true, label: y },
    marks: [Plot.ruleY([0]), ...marks],
  });
}

function legend(set: string, index: number, sets: readonly string[]): string {
  const y = LEGEND_HEIGHT * (index + 0.5) + 4;
  const text = set.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="56" y="${y}" fill="${colourOf(sets, set)}">${text}</text>\n`;
}

function at(y: number, svg: string): string {
  return svg.replace("<svg ", `<svg y="${y}" `);
}
