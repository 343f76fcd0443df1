/** A family of samples in the text format of Prometheus. */
export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: Sample[];
}

/** One line with a value. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/;
const LABEL = /^[a-zA-Z_][a-zA-Z0-9_]*/;
const VALUE = /^(?:[+-]?Inf|NaN|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)$/;
const SUFFIXES: Record<string, string[]> = {
  counter: [""],
  gauge: [""],
  histogram: ["_bucket", "_sum", "_count"],
};

/** Parses the format strictly, and throws at anything that the format does not allow. */
export function parsePrometheus(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  if (!text.endsWith("\n")) throw new Error("The last line must end with a line feed");
  let family: { name: string; type: string; help: string; samples: Sample[] } | undefined;
  let help: [name: string, text: string] | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    const comment = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (comment !== null) {
      const [, kind, name, rest] = comment as unknown as [string, string, string, string];
      if (families.has(name)) throw new Error(`${name} comes twice, or in two groups`);
      if (kind === "HELP") {
        help = [name, rest];
        continue;
      }
      if (help?.[0] !== name) throw new Error(`${name} has no HELP before its TYPE`);
      if (SUFFIXES[rest] === undefined) throw new Error(`${name} has the unknown type ${rest}`);
      family = { name, type: rest, help: help[1], samples: [] };
      families.set(name, family);
      continue;
    }
    const sample = parseSample(line);
    if (family === undefined) throw new Error(`A sample before any TYPE: ${line}`);
    const names = SUFFIXES[family.type]!.map((suffix) => family!.name + suffix);
    if (!names.includes(sample.name)) throw new Error(`${sample.name} is not of ${family.name}`);
    const isSame = (other: Sample) => seriesOf(other) === seriesOf(sample);
    if (family.samples.some(isSame)) throw new Error(`A series comes twice: ${line}`);
    if (family.type !== "gauge" && !(sample.value >= 0)) throw new Error(`Below 0: ${line}`);
    family.samples.push(sample);
  }
  for (const each of families.values()) if (each.type === "histogram") checkHistogram(each);
  return families;
}

function parseSample(line: string): Sample {
  const [name] = NAME.exec(line) ?? [];
  if (name === undefined) throw new Error(`No name: ${line}`);
  let rest = line.slice(name.length);
  const labels: Record<string, string> = {};
  if (rest.startsWith("{")) {
    rest = rest.slice(1);
    while (!rest.startsWith("}")) {
      const [label] = LABEL.exec(rest) ?? [];
      if (label === undefined) throw new Error(`No label: ${line}`);
      const [quoted, value] = /^="((?:[^"\\]|\\["\\n])*)"/.exec(rest.slice(label.length)) ?? [];
      if (quoted === undefined) throw new Error(`No label's value: ${line}`);
      if (label in labels) throw new Error(`A label comes twice: ${line}`);
      labels[label] = value!.replaceAll(/\\(.)/g, (_, char) => char === "n" ? "\n" : char);
      rest = rest.slice(label.length + quoted.length).replace(/^,/, "");
    }
    rest = rest.slice(1);
  }
  const value = rest.replace(/^ /, "");
  if (!VALUE.test(value)) throw new Error(`No value: ${line}`);
  return { name, labels, value: Number(value.replace("Inf", "Infinity")) };
}

function checkHistogram({ name, samples }: Family): void {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const { le: _, ...labels } = sample.labels;
    const group = groups.get(JSON.stringify(labels)) ?? [];
    groups.set(JSON.stringify(labels), [...group, sample]);
  }
  for (const group of groups.values()) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
    const count = group.find((sample) => sample.name === `${name}_count`)?.value;
    const bounds = buckets.map(({ labels }) => Number(labels.le!.replace("Inf", "Infinity")));
    const grows = (values: number[], strictly: boolean) =>
      values.every((value, i) =>
        i === 0 || value > values[i - 1]! || !strictly && value === values[i - 1]
      );
    if (!grows(bounds, true) || bounds.at(-1) !== Infinity) throw new Error(`${name}: bounds`);
    if (!grows(buckets.map(({ value }) => value), false)) {
      throw new Error(`${name}: not cumulative`);
    }
    if (buckets.at(-1)!.value !== count) throw new Error(`${name}: count`);
    if (!group.some((sample) => sample.name === `${name}_sum`)) throw new Error(`${name}: no sum`);
  }
}

function seriesOf({ name, labels }: Sample): string {
  return JSON.stringify([name, Object.entries(labels).sort()]);
}
