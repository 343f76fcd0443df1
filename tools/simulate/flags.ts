import type { PoolOptions } from "../../mod.ts";
import {
  type Arrival,
  type Arrivals,
  bursts,
  merged,
  parseTrace,
  poisson,
  type Surge,
  surging,
  trace,
} from "./arrivals.ts";
import {
  constant,
  type Distribution,
  exponentialTime,
  lognormal,
  sigmaOf,
} from "./distribution.ts";
import type { During, Span } from "./server.ts";
import { checkPoolOptions, type Scenario, type SimulatedOptions } from "./simulation.ts";

/** An invalid flag. */
export class FlagError extends Error {
  override readonly name = "FlagError";
}

/** The options of a pool, and their name in the table. */
export interface OptionSet {
  readonly name: string;
  readonly options: SimulatedOptions;
}

/** The varied value: the rate of arrivals, the number of clients, or an option of the pool. */
export interface Variation {
  readonly name: string;
  readonly values: readonly number[];
}

/** The form of the figures. */
export type Format = "table" | "json" | "csv";

/** The parsed command line. */
export interface Request {
  readonly scenario: Scenario;
  /** The scenario and the options with another varied value. */
  readonly varied: (value: number, options: SimulatedOptions) => [Scenario, SimulatedOptions];
  readonly sets: readonly OptionSet[];
  readonly against: Variation | undefined;
  /** The file of the plot. */
  readonly svg: string | undefined;
  readonly format: Format;
}

const SECOND = 1_000;
const UNITS: Record<string, number> = { ms: 1, s: SECOND, m: 60 * SECOND, h: 3_600 * SECOND };

type Values = Record<string, string[]>;

/** How often a flag may be given: `bare` ones have no value. */
const FLAGS: Record<string, "once" | "repeated" | "bare"> = {
  rate: "once",
  surge: "once",
  bursts: "repeated",
  trace: "once",
  clients: "once",
  think: "once",
  again: "once",
  duration: "once",
  "warm-up": "once",
  use: "once",
  cores: "once",
  breaking: "repeated",
  dial: "once",
  check: "once",
  failing: "repeated",
  slow: "repeated",
  down: "repeated",
  pause: "repeated",
  recycle: "repeated",
  patience: "once",
  urgent: "once",
  keys: "once",
  set: "repeated",
  against: "once",
  svg: "once",
  json: "bare",
  csv: "bare",
  seed: "once",
  help: "bare",
};

/** Reads the command line. `read` reads the file of a trace. */
export function parseFlags(args: readonly string[], read: (path: string) => string): Request {
  const values = valuesOf(args);
  const one = <V>(name: string, parse: (text: string, name: string) => V, otherwise: V): V => {
    const text = values[name]?.[0];
    return text === undefined ? otherwise : parse(text, name);
  };
  const all = <V>(name: string, parse: (text: string, name: string) => V): V[] =>
    (values[name] ?? []).map((text) => parse(text, name));
  const against = one("against", variation, undefined);
  refuseContradictions(values, against?.name);

  const recorded = one("trace", (path) => readTrace(path, read), undefined);
  const duration = one("duration", time, recorded?.at(-1)?.at ?? 60 * SECOND);
  if (duration === 0) throw new FlagError("--duration must be given, and longer than 0 ms");
  const warmUp = one("warm-up", time, 0);
  if (warmUp >= duration) {
    fail("warm-up", `less than the duration of ${duration} ms`, values["warm-up"]?.[0]);
  }
  /** A time after the end would silently have no effect. */
  const within = <V>(name: string, parse: (text: string, name: string) => V, at: keyof V): V[] =>
    all(name, (text) => {
      const value = parse(text, name);
      if (value[at] as number < duration) return value;
      return fail(name, `before the end at ${duration} ms`, text);
    });

  const isOpen = !["trace", "clients", "bursts"].some((name) => name in values) &&
    against?.name !== "clients";
  const rate = one("rate", positive, isOpen ? 100 : undefined);
  const surge = one("surge", parseSurge, undefined);
  const burst = all("bursts", parseBursts);
  const arrivalsAt = (rate: number | undefined): Arrivals => {
    if (recorded !== undefined) return trace(recorded);
    const process = rate === undefined ? [] : [surge ? surging(rate, surge) : poisson(rate)];
    return [...process, ...burst].reduce(merged, trace([]));
  };
  const think = one("think", distribution, constant(0));
  const clientsOf = (count: number) => ({ count, pause: think });
  const [keys, skew] = one("keys", parseKeys, [0, 0]);
  const scenario: Scenario = {
    arrivals: arrivalsAt(rate),
    clients: one("clients", (text, name) => clientsOf(several(text, name)), undefined),
    again: one("again", parseAgain, undefined),
    duration,
    warmUp,
    use: one("use", distribution, exponentialTime(20)),
    cores: one("cores", positive, Infinity),
    breaking: within("breaking", shareDuring, "from"),
    dial: one("dial", distribution, constant(5)),
    check: one("check", distribution, undefined),
    failing: within("failing", shareDuring, "from"),
    slow: within("slow", factorDuring, "from"),
    patience: one("patience", distribution, undefined),
    urgent: one("urgent", share, 0),
    outages: within("down", span, "from"),
    pauses: within("pause", span, "from"),
    recycles: within("recycle", recycle, "at"),
    keys,
    skew,
    seed: one("seed", count, 1),
  };
  const varied: Request["varied"] = (value, options) => {
    const name = against!.name;
    if (name === "rate") return [{ ...scenario, arrivals: arrivalsAt(value) }, options];
    if (name === "clients") return [{ ...scenario, clients: clientsOf(value) }, options];
    return [scenario, merge(options, name, value)];
  };
  const sets = all("set", optionSet);
  if (sets.length === 0) sets.push({ name: "the defaults", options: {} });
  for (const { name, options } of sets) {
    if (against === undefined) checkOptions(name, options, keys);
    else {
      if (has(options, against.name)) {
        throw new FlagError(`--against varies ${against.name}: leave it out of --set ${name}`);
      }
      for (const value of against.values) {
        checkOptions(`${against.name}=${value}`, varied(value, options)[1], keys);
      }
    }
  }
  const svg = one("svg", (path) => path, undefined);
  const format = "json" in values ? "json" : "csv" in values ? "csv" : "table";
  return { scenario, varied, sets, against, svg, format };
}

/** Of flags that can't be given together, or only together. */
function refuseContradictions(values: Values, varied: string | undefined): void {
  const given = (name: string) => name in values || name === varied;
  const others = (name: string, excluded: string[], why: string) => {
    const other = excluded.find((other) => given(name) && given(other));
    if (other !== undefined) throw new FlagError(`--${name} ${why}: leave out --${other}`);
  };
  const OPEN = ["rate", "surge", "bursts"];
  others("trace", [...OPEN, "clients"], "says all arrivals");
  others("clients", OPEN, "come again and again by themselves");
  others("json", ["csv"], "is another form of the same figures");
  if (varied === "rate" && "rate" in values) {
    throw new FlagError("--against varies the rate: leave out --rate");
  }
  if (varied === "clients" && "clients" in values) {
    throw new FlagError("--against varies the clients: leave out --clients");
  }
  if (given("think") && !given("clients")) {
    throw new FlagError("--think is the pause of --clients: give both");
  }
  if (given("surge") && given("bursts") && !given("rate")) {
    throw new FlagError("--surge multiplies --rate: give both");
  }
  if (given("svg") && varied === undefined) {
    throw new FlagError("--svg draws what --against varies: give both");
  }
}

function valuesOf(args: readonly string[]): Values {
  const values: Values = {};
  for (let i = 0; i < args.length; i++) {
    const [, name = "", given] = args[i]!.match(/^--([a-z-]+)(?:=(.*))?$/s) ?? [];
    const kind = FLAGS[name];
    if (kind === undefined) throw unknownFlag(args[i]!);
    if (kind !== "repeated" && name in values) throw new FlagError(`--${name} is given twice`);
    if (kind === "bare" && given !== undefined) {
      throw new FlagError(`--${name} has no value: received ${given}`);
    }
    const text = kind === "bare" ? "" : given ?? args[++i];
    if (text === undefined) throw new FlagError(`--${name} must be followed by a value`);
    if (given === undefined && text.startsWith("--")) {
      throw new FlagError(`--${name} must be followed by a value: received ${text}`);
    }
    (values[name] ??= []).push(text);
  }
  return values;
}

function unknownFlag(arg: string): FlagError {
  const names = Object.keys(FLAGS).map((name) => `--${name}`);
  const flag = arg.replace(/=.*/s, "");
  const [distance, nearest] = names.map((name) => [editDistance(flag, name), name] as const)
    .reduce((one, other) => other[0] < one[0] ? other : one);
  const hint = distance <= 2 ? ` Did you mean ${nearest}?` : "";
  return new FlagError(`There is no ${arg}.${hint} There are: ${names.join(" ")}`);
}

/** How many characters must be added, removed or replaced (Levenshtein). */
function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (const [i, character] of [...one].entries()) {
    const next = [i + 1];
    for (let j = 0; j < other.length; j++) {
      const replaced = row[j]! + (character === other[j] ? 0 : 1);
      next.push(Math.min(replaced, row[j + 1]! + 1, next[j]! + 1));
    }
    row = next;
  }
  return row[other.length]!;
}

function readTrace(path: string, read: (path: string) => string): Arrival[] {
  try {
    return parseTrace(read(path), path);
  } catch (error) {
    throw new FlagError(`--trace: ${error instanceof Error ? error.message : error}`);
  }
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

function several(text: string, name: string): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  return value > 0 ? value : fail(name, "a whole number greater than 0", text);
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

/** `50/2s`, `5000@1s` */
function parseBursts(text: string, name: string): Arrivals {
  const [, size, sign, when] = text.match(/^(\d+)([/@])(.*)$/) ?? [];
  if (!(Number(size) >= 1)) {
    fail(name, "a number of callers, and how often or when they come, such as 50/2s, 50@2s", text);
  }
  const at = time(when!, name);
  if (sign === "@") return bursts(Number(size), at);
  return at > 0 ? bursts(Number(size), at, at) : fail(name, "repeated after more than 0 ms", text);
}

/** `3,20s/1m` */
function parseSurge(text: string, name: string): Surge {
  const [, factor = "", length = "", every = ""] = text.match(/^([^,]*),([^/]*)\/(.*)$/) ?? [];
  const surge = { factor: Number(factor || NaN), length: 0, every: 0 };
  if (surge.factor >= 0 && surge.factor < Infinity) {
    surge.length = time(length, name);
    surge.every = time(every, name);
  }
  if (surge.length > 0 && surge.length < surge.every) return surge;
  return fail(name, "a factor, how long and how often it holds, such as 3,20s/1m", text);
}

/** `3`, `3,exp:500ms` */
function parseAgain(text: string, name: string): Scenario["again"] {
  const [, times, delay] = text.match(/^(\d{1,9})(?:,(.*))?$/) ?? [];
  if (times === undefined) {
    fail(name, "a number of times and, after a comma, the delay, such as 3,exp:500ms", text);
  }
  return {
    times: Number(times),
    delay: delay === undefined ? constant(1_000) : distribution(delay, name),
  };
}

/** `20`, `20,1` */
function parseKeys(text: string, name: string): [keys: number, skew: number] {
  const [, keys, skew = "0"] = text.match(/^([1-9]\d{0,5})(?:,(\d+(?:\.\d+)?))?$/) ?? [];
  if (keys !== undefined) return [Number(keys), Number(skew)];
  return fail(name, "a number of keys and, after a comma, their skew, such as 20 or 20,1", text);
}

/** `0.5`, `0.5@20s-25s` */
function shareDuring(text: string, name: string): During {
  return during(text, name, share);
}

/** `3`, `3@20s-25s` */
function factorDuring(text: string, name: string): During {
  return during(text, name, positive);
}

function during(
  text: string,
  name: string,
  parse: (text: string, name: string) => number,
): During {
  const [, value, when] = text.match(/^([^@]*)(?:@(.*))?$/)!;
  const always = { from: 0, to: Infinity };
  return { value: parse(value!, name), ...when === undefined ? always : span(when, name) };
}

/** `20`, `exp:20`, `lognormal:20,1.5`, `lognormal:20,p99=80` */
function distribution(text: string, name: string): Distribution {
  const [, kind = "const", mean, quantile, shape] =
    text.match(/^(?:([a-z]+):)?([\d.]+[hms]*)(?:,(p99=)?(\d+(?:\.\d+)?[hms]*))?$/) ?? [];
  if (mean !== undefined && (shape !== undefined) === (kind === "lognormal")) {
    const value = time(mean, name);
    if (kind === "const") return constant(value);
    if (kind === "exp") return exponentialTime(value);
    if (kind === "lognormal" && value > 0) {
      const sigma = quantile === undefined ? Number(shape) : sigmaOf(value, time(shape!, name));
      if (sigma === undefined) {
        fail(name, "with a p99 of more than the mean, up to 14.9 of it", text);
      }
      if (!Number.isNaN(sigma)) return lognormal(value, sigma);
    }
  }
  return fail(
    name,
    "a time, exp:MEAN, lognormal:MEAN,SIGMA or lognormal:MEAN,p99=TIME, " +
      "such as 5ms, exp:20ms, lognormal:20,1, lognormal:20,p99=80",
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
    if (has(options, name)) throw new FlagError(`--set gives ${name} twice: received ${text}`);
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

function has(options: SimulatedOptions, name: string): boolean {
  const [outer, inner] = name.split(".") as [keyof SimulatedOptions, string?];
  const value = options[outer] as unknown;
  return inner === undefined ? outer in options : Object.hasOwn(Object(value), inner);
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
  const isValid = (value: number) => value > 0 && (what !== "clients" || Number.isInteger(value));
  if (what === undefined || values.length === 0 || !values.every(isValid)) {
    fail(name, "like rate=50..400/50 or maxSize=4,8,16", text);
  }
  return { name: what, values };
}

/** Lets the pool validate the options. */
function checkOptions(name: string, options: SimulatedOptions, keys: number): void {
  if (keys === 0 && "maxPerKey" in options) {
    throw new FlagError(`${name}: maxPerKey is an option of a KeyedPool: give --keys too`);
  }
  try {
    checkPoolOptions(options, keys);
  } catch (error) {
    throw new FlagError(`${name}: ${error instanceof Error ? error.message : error}`);
  }
}
