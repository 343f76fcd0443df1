import type { PoolOptions } from "../../mod.ts";
import {
  type Arrival,
  type Arrivals,
  bursts,
  merged,
  parseTrace,
  poisson,
  trace,
} from "./arrivals.ts";
import { constant, type Distribution, exponentialTime, lognormal } from "./distribution.ts";
import { checkPoolOptions, type Scenario, type SimulatedOptions, type Span } from "./simulation.ts";

/** An invalid flag. */
export class FlagError extends Error {
  override readonly name = "FlagError";
}

/** The options of a pool, and their name in the table. */
export interface OptionSet {
  readonly name: string;
  readonly options: SimulatedOptions;
}

/** The varied value: the rate of arrivals, or an option of the pool. */
export interface Variation {
  readonly name: string;
  readonly values: readonly number[];
}

/** The parsed command line. */
export interface Request {
  readonly scenario: Scenario;
  readonly sets: readonly OptionSet[];
  readonly against: Variation | undefined;
  /** The file of the plot. */
  readonly svg: string | undefined;
  readonly json: boolean;
}

const SECOND = 1_000;
const UNITS: Record<string, number> = { ms: 1, s: SECOND, m: 60 * SECOND, h: 3_600 * SECOND };

type Values = Record<string, string[]>;

const NAMES = [
  "rate",
  "bursts",
  "trace",
  "duration",
  "warm-up",
  "use",
  "cores",
  "dial",
  "failing",
  "down",
  "pause",
  "recycle",
  "patience",
  "urgent",
  "keys",
  "set",
  "against",
  "svg",
  "json",
  "seed",
];
const REPEATED = ["set", "down", "pause", "recycle"];

/** Reads the command line. `read` reads the file of a trace. */
export function parseFlags(args: readonly string[], read: (path: string) => string): Request {
  const values = valuesOf(args);
  const one = <V>(name: string, parse: (text: string, name: string) => V, otherwise: V): V => {
    const text = values[name]?.[0];
    return text === undefined ? otherwise : parse(text, name);
  };
  const all = <V>(name: string, parse: (text: string, name: string) => V): V[] =>
    (values[name] ?? []).map((text) => parse(text, name));
  const recorded = one("trace", (path) => readTrace(path, read), undefined);
  const rate = one("rate", positive, undefined);
  const keys = one("keys", count, 0);
  const duration = one("duration", time, recorded?.at(-1)?.at ?? 60 * SECOND);
  const warmUp = one("warm-up", time, 0);
  if (warmUp >= duration) fail("warm-up", "less than --duration", values["warm-up"]?.[0]);
  const scenario: Scenario = {
    arrivals: arrivalsOf(recorded, rate, one("bursts", burst, undefined)),
    duration,
    warmUp,
    use: one("use", distribution, exponentialTime(20)),
    cores: one("cores", positive, Infinity),
    dial: one("dial", distribution, constant(5)),
    patience: one("patience", distribution, undefined),
    failing: one("failing", share, 0),
    urgent: one("urgent", share, 0),
    outages: all("down", span),
    pauses: all("pause", span),
    recycles: all("recycle", recycle),
    keys,
    seed: one("seed", count, 1),
  };
  const sets = all("set", optionSet);
  if (sets.length === 0) sets.push({ name: "the defaults", options: {} });
  const against = one("against", variation, undefined);
  checkSets(sets, against, keys);
  if (against?.name === "rate" && (recorded !== undefined || values["bursts"] !== undefined)) {
    throw new FlagError("--against rate=… varies --rate alone: leave out --trace and --bursts");
  }
  const svg = one("svg", (path) => path, undefined);
  if (svg !== undefined && against === undefined) {
    throw new FlagError("--svg draws what --against varies: give both");
  }
  return { scenario, sets, against, svg, json: "json" in values };
}

/** The scenario and the options with another varied value. */
export function varied(
  { name }: Variation,
  value: number,
  scenario: Scenario,
  options: SimulatedOptions,
): [Scenario, SimulatedOptions] {
  if (name === "rate") return [{ ...scenario, arrivals: poisson(value) }, options];
  return [scenario, merge(options, name, value)];
}

function valuesOf(args: readonly string[]): Values {
  const values: Values = {};
  for (let i = 0; i < args.length; i++) {
    const [, name, given] = args[i]!.match(/^--([a-z-]+)(?:=(.*))?$/s) ?? [];
    if (name === undefined || !NAMES.includes(name)) {
      const known = [...NAMES, "help"].map((name) => `--${name}`).join(" ");
      throw new FlagError(`There is no ${args[i]}. There are: ${known}`);
    }
    const isNext = given === undefined && name !== "json";
    const text = isNext ? args[++i] : given ?? "";
    if (text === undefined) throw new FlagError(`--${name} must be followed by a value`);
    if (name in values && !REPEATED.includes(name)) throw new FlagError(`--${name} is given twice`);
    (values[name] ??= []).push(text);
  }
  return values;
}

function readTrace(path: string, read: (path: string) => string): Arrival[] {
  try {
    return parseTrace(read(path), path);
  } catch (error) {
    throw new FlagError(`--trace: ${error instanceof Error ? error.message : error}`);
  }
}

function arrivalsOf(
  recorded: Arrival[] | undefined,
  rate: number | undefined,
  burst: Arrivals | undefined,
): Arrivals {
  if (recorded !== undefined) {
    if (rate === undefined && burst === undefined) return trace(recorded);
    throw new FlagError("--trace says all arrivals: leave out --rate and --bursts");
  }
  if (burst === undefined) return poisson(rate ?? 100);
  return rate === undefined ? burst : merged(poisson(rate), burst);
}

function fail(name: string, expected: string, text: string | undefined): never {
  throw new FlagError(`--${name} must be ${expected}: received ${text}`);
}

function positive(text: string, name: string): number {
  const value = Number(text);
  return text !== "" && value > 0 && value < Infinity
    ? value
    : fail(name, "a number greater than 0", text);
}

function count(text: string, name: string): number {
  return /^\d{1,9}$/.test(text) ? Number(text) : fail(name, "a whole number", text);
}

function share(text: string, name: string): number {
  const value = Number(text);
  return text !== "" && value >= 0 && value <= 1 ? value : fail(name, "a number from 0 to 1", text);
}

/** `250`, `250ms`, `10s`, `2m`, `1h`. */
function time(text: string, name: string): number {
  const [, number, unit = "ms"] = text.match(/^(\d+(?:\.\d+)?)(ms|s|m|h)?$/) ?? [];
  if (number === undefined) fail(name, "a time such as 250ms, 10s or 2m", text);
  return Number(number) * UNITS[unit]!;
}

/** `20s-25s` */
function span(text: string, name: string): Span {
  const [from, to, ...rest] = text.split("-").map((part) => time(part, name));
  if (to === undefined || rest.length > 0 || from! >= to) {
    fail(name, "a time from and to, such as 20s-25s", text);
  }
  return { from: from!, to };
}

/** `20s/10s` */
function recycle(text: string, name: string): { at: number; over: number } {
  const [at, over, ...rest] = text.split("/").map((part) => time(part, name));
  if (over === undefined || rest.length > 0) {
    fail(name, "a time and what to spread it over, such as 20s/10s", text);
  }
  return { at: at!, over };
}

/** `50/2s` */
function burst(text: string, name: string): Arrivals {
  const [, size, every] = text.match(/^(\d+)\/(.*)$/) ?? [];
  const interval = every === undefined ? 0 : time(every, name);
  if (Number(size) < 1 || interval === 0) {
    fail(name, "a number of callers and how often they come, such as 50/2s", text);
  }
  return bursts(Number(size), interval);
}

/** `20`, `exp:20`, `lognormal:20,1.5` */
function distribution(text: string, name: string): Distribution {
  const [, kind = "const", mean, sigma] =
    text.match(/^(?:([a-z]+):)?([\dhms.]+)(?:,(\d+(?:\.\d+)?))?$/) ?? [];
  if (mean !== undefined && (sigma !== undefined) === (kind === "lognormal")) {
    const value = time(mean, name);
    if (kind === "const") return constant(value);
    if (kind === "exp") return exponentialTime(value);
    if (kind === "lognormal" && value > 0) return lognormal(value, Number(sigma));
  }
  fail(
    name,
    "a time, exp:MEAN or lognormal:MEAN,SIGMA, such as 5ms, exp:20ms, lognormal:20,1",
    text,
  );
}

/** `maxSize=20,overload.target=50` */
function optionSet(text: string): OptionSet {
  let options: SimulatedOptions = {};
  for (const part of text === "" ? [] : text.split(",")) {
    const [, name, value] = part.match(/^([A-Za-z.]+)=(.+)$/) ?? [];
    if (name === undefined) {
      throw new FlagError(`--set must be like maxSize=20,overload.target=50: received ${text}`);
    }
    options = merge(options, name, valueOf(value!));
  }
  return { name: text === "" ? "the defaults" : text, options };
}

function merge(options: SimulatedOptions, name: string, value: unknown): SimulatedOptions {
  const [outer, inner, ...rest] = name.split(".") as [keyof PoolOptions, string?];
  if (["clock", "hooks"].includes(outer)) throw new FlagError(`--set can't set ${outer}`);
  if (inner === undefined) return { ...options, [outer]: value };
  if (rest.length > 0) throw new FlagError(`There is no option ${name}`);
  return { ...options, [outer]: { ...options[outer] as object, [inner]: value } };
}

function valueOf(text: string): unknown {
  if (text === "true" || text === "false") return text === "true";
  return Number.isNaN(Number(text)) ? text : Number(text);
}

/** `rate=50..400/50`, `maxSize=4,8,16` */
function variation(text: string, name: string): Variation {
  const [, what, list = ""] = text.match(/^([A-Za-z.]+)=(.+)$/) ?? [];
  const [, from, to, step] = list.match(/^([\d.]+)\.\.([\d.]+)\/([\d.]+)$/) ?? [];
  const values = step === undefined
    ? list.split(",").map((part) => part === "" ? NaN : Number(part))
    : Array.from(
      {
        length: Math.max(
          0,
          Math.min(1_000, Math.floor((Number(to) - Number(from)) / Number(step) + 1.000001)),
        ),
      },
      (_, index) => Number((Number(from) + index * Number(step)).toPrecision(12)),
    );
  if (what === undefined || values.length === 0 || values.some((value) => !(value > 0))) {
    fail(name, "like rate=50..400/50 or maxSize=4,8,16", text);
  }
  return { name: what, values };
}

/** Lets the pool validate the options. */
function checkSets(sets: readonly OptionSet[], against: Variation | undefined, keys: number): void {
  const variants = against === undefined || against.name === "rate"
    ? sets
    : sets.flatMap(({ options }) =>
      against.values.map((value) => ({
        name: `${against.name}=${value}`,
        options: merge(options, against.name, value),
      }))
    );
  for (const { name, options } of variants) {
    try {
      checkPoolOptions(options, keys);
    } catch (error) {
      throw new FlagError(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  }
}
