import { type CaseResult, floor, ours, ratio, type Role, type Row } from "../tests/bench/_bench.ts";
import { rounded, shown } from "../tests/bench/_table.ts";
import { parseHTML, Plot } from "./_npm.ts";

const WIDTH = 760;
const ROW_HEIGHT = 19;
const GROWTH_HEIGHT = 320;
const AXIS_HEIGHT = 44;
const TOP = 28;
const LABEL_HEIGHT = 14;
const NAME_WIDTH = 124;
const LABEL_WIDTH = 64;

// Of medium lightness, so that they are visible on white and on black.
const COLOURS: Record<Role, string> = { ours: "#e8590c", floor: "#868e96", peer: "#4c8fd6" };
const PEER_COLOURS = ["#4c8fd6", "#2b9a66", "#a66cc4", "#b8860b"];

const STYLE = `<style>
svg { color: #1f2328; }
@media (prefers-color-scheme: dark) { svg { color: #e6edf3; } }
</style>`;

/** One figure, and its place and style in the plot. */
interface Point {
  readonly key: string;
  /** The column, or the position on the axis. */
  readonly at: string | number;
  readonly name: string;
  readonly role: Role;
  readonly value: number;
  readonly label: string;
}

/** A line of the plot: a heading, or a contender below it. */
interface Line {
  readonly key: string;
  readonly text: string;
  readonly isHeading: boolean;
}

const colour = ({ role }: Point) => COLOURS[role];
const key = (heading: string, name: string) => `${heading}: ${name}`;

/** Times on a logarithmic scale, case by case: equal distances are equal ratios. */
export function dots(results: readonly CaseResult[]): string {
  const points = results.flatMap((result) => result.rows.map((row) => point(result, row)));
  return list(linesOf(results), {
    x: { type: "log", grid: true, label: "time for one (logarithmic)", tickFormat: time, ticks: 5 },
    marks: [
      Plot.dot(points, { y: "key", x: "value", fill: colour, r: 5 }),
      Plot.text(points, { y: "key", x: "value", ...LABEL, dx: 9 }),
    ],
  });
}

/** Amounts of memory, case by case. */
export function bars(results: readonly CaseResult[]): string {
  const points = results.flatMap((result) => result.rows.map((row) => point(result, row)));
  return list(linesOf(results), {
    x: { grid: true, label: "bytes of heap for one" },
    marks: [
      Plot.barX(points, { y: "key", x: "value", fill: colour, ...BAR }),
      Plot.text(points, { y: "key", x: "value", ...LABEL }),
    ],
  });
}

/** The speed of each relative to the floor, in columns by the last part of the case's name. */
export function shares(results: readonly CaseResult[]): string {
  const cases = results.map((result) => {
    const [, heading, at] = result.name.match(/^(.*), (.*?)$/)!;
    return { heading: heading!, at: at!, result, least: floor(result)! };
  });
  const points = cases.flatMap(({ heading, at, result, least }) =>
    compared(result).map((row): Point => {
      const value = 1 / ratio(row, least);
      return {
        ...point(result, row),
        key: key(heading, row.name),
        at,
        value,
        label: rounded(value),
      };
    })
  );
  const headings = [...new Map(cases.map(({ heading, result }) => [heading, result]))];
  const lines = linesOf(headings.map(([name, result]) => ({
    ...result,
    name,
    rows: compared(result),
  })));
  const columns = [...new Set(cases.map(({ at }) => at))];
  const name = cases[0]!.least.name;
  const wide = points.filter(({ value }) => value >= 0.3);
  const narrow = points.filter(({ value }) => value < 0.3);
  return list(lines, {
    fx: { label: null, domain: columns, padding: 0.25 },
    x: {
      grid: true,
      label: `speed beside ${name} (= 1)`,
      ticks: [0, 0.5, 1],
      domain: [0, Math.max(1, ...points.map(({ value }) => value))],
    },
    marks: [
      Plot.barX(points, { fx: "at", y: "key", x: "value", fill: colour, ...BAR }),
      Plot.ruleX([1], { stroke: COLOURS.floor, strokeWidth: 1.5 }),
      Plot.text(wide, { fx: "at", y: "key", x: 0, ...LABEL, fill: "white" }),
      Plot.text(narrow, { fx: "at", y: "key", x: "value", ...LABEL }),
    ],
  }, columns[0]);
}

/** The contenders beside the floor; of ours only the first. */
function compared(result: CaseResult): Row[] {
  return result.rows.filter((row) => row === ours(result) || row.role === "peer");
}

/** How the time of one operation grows with the number in the case's name. */
export function growth(results: readonly CaseResult[]): string {
  const points = results.flatMap((result) => {
    const [number] = result.name.match(/\d[\d,]*/)!;
    const at = Number(number.replaceAll(",", ""));
    return result.rows.map((row) => ({ ...point(result, row), at, of: topic(result.name) }));
  });
  const names = [...new Set(points.filter(({ role }) => role === "peer").map(({ name }) => name))];
  const stroke = ({ name, role }: Point) =>
    role === "peer" ? PEER_COLOURS[names.indexOf(name)]! : COLOURS[role];
  const topics = [...new Set(points.map(({ of }) => of))];
  const columns = topics.length > 1 ? { fx: "of" } : {};
  return draw({
    height: GROWTH_HEIGHT,
    marginLeft: 56,
    marginRight: 100,
    fx: { label: null, padding: 0.45 },
    x: { type: "log", label: "at once", tickFormat: ",", ticks: 3 },
    y: { type: "log", grid: true, label: "time for one", tickFormat: time, ticks: 5 },
    marks: [
      Plot.lineY(points, { ...columns, x: "at", y: "value", z: "name", stroke, strokeWidth: 2 }),
      Plot.dot(points, { ...columns, x: "at", y: "value", fill: stroke, r: 3 }),
      Plot.text(apart(points), {
        ...columns,
        x: "at",
        y: "value",
        text: "name",
        fill: stroke,
        textAnchor: "start",
        dx: 8,
      }),
    ],
  });
}

const LABEL = { text: "label", textAnchor: "start", dx: 4 } as const;
const BAR = { insetTop: 2, insetBottom: 2 } as const;

/** A plot of headings with contenders below them; `column` is the first, if there are several. */
function list(
  lines: readonly Line[],
  { marks = [], ...options }: Plot.PlotOptions,
  column?: string,
): string {
  const place = { y: "key", text: "text", frameAnchor: "left", textAnchor: "start" } as const;
  const headings = lines.filter(({ isHeading }) => isHeading);
  const names = lines.filter(({ isHeading }) => !isHeading);
  const first = column === undefined ? {} : { fx: () => column };
  return draw({
    height: ROW_HEIGHT * lines.length + AXIS_HEIGHT + TOP,
    marginLeft: NAME_WIDTH,
    marginRight: LABEL_WIDTH,
    y: { axis: null, domain: lines.map(({ key }) => key) },
    ...options,
    marks: [
      Plot.text(headings, { ...place, ...first, dx: -NAME_WIDTH + 4, fontWeight: "bold" }),
      Plot.text(names, { ...place, ...first, dx: -NAME_WIDTH + 14 }),
      ...marks,
    ],
  });
}

/** The last point of each line, moved up so that the names do not overlap. */
function apart<P extends Point & { of: string }>(points: readonly P[]): P[] {
  const values = points.map(({ value }) => value);
  const decades = Math.log10(Math.max(...values) / Math.min(...values));
  const step = 10 ** (decades * LABEL_HEIGHT / (GROWTH_HEIGHT - 2 * AXIS_HEIGHT));
  const last = new Map(points.map((point) => [`${point.of}: ${point.name}`, point]));
  const placed: P[] = [];
  for (const point of [...last.values()].sort((a, b) => a.value - b.value)) {
    const below = placed.findLast(({ at, of }) => at === point.at && of === point.of);
    const value = Math.max(point.value, below === undefined ? 0 : below.value * step);
    placed.push({ ...point, value });
  }
  return placed;
}

/** A plot for light and dark pages. */
export function draw(options: Plot.PlotOptions): string {
  const { document } = parseHTML("<html></html>") as unknown as { document: never };
  const style = { background: "none", fontSize: "12px" };
  const plot = Plot.plot({
    document,
    width: WIDTH,
    marginBottom: AXIS_HEIGHT,
    style,
    ...options,
  }) as { outerHTML: string };
  return plot.outerHTML
    .replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ')
    .replace(/<style>.*?<\/style>/s, STYLE) + "\n";
}

function linesOf(results: readonly CaseResult[]): Line[] {
  return results.flatMap(({ name, rows }) => [
    { key: name, text: name, isHeading: true },
    ...rows.map((row) => ({ key: key(name, row.name), text: row.name, isHeading: false })),
  ]);
}

function point(result: CaseResult, { name, role, median }: Row): Point {
  const label = shown(median, result.unit);
  return { key: key(result.name, name), at: 0, name, role, value: median, label };
}

/** The name of a case without its number. */
function topic(name: string): string {
  return name.replace(/,? ?\d[\d,]*,? ?/, "");
}

/** A power of ten, as a time. */
function time(ns: number): string {
  return /^1(?:0*)$/.test(`${ns}`) ? shown(ns, "ns").replace(/\.0+ /, " ") : "";
}
