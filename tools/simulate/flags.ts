import {
  type Arrival,
  type Arrivals,
  merged,
  parseTrace,
  poisson,
  surging,
  trace,
} from "./arrivals.ts";
import { constant, exponentialTime } from "./distribution.ts";
import {
  count,
  distribution,
  factorDuring,
  fail,
  FlagError,
  has,
  merge,
  type OptionSet,
  optionSet,
  parseAgain,
  parseBursts,
  parseKeys,
  parseSurge,
  positive,
  recycle,
  SECOND,
  several,
  share,
  shareDuring,
  span,
  time,
  type Variation,
  variation,
} from "./flag_values.ts";
import { checkPoolOptions, type Scenario, type SimulatedOptions } from "./simulation.ts";

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
  const flags = new Flags(args);
  const against = flags.one("against", variation, undefined);
  refuseContradictions(flags, against?.name);
  const { scenario, withRate, withClients } = scenarioOf(flags, read, against?.name);
  const varied: Request["varied"] = (value, options) => {
    const name = against!.name;
    if (name === "rate") return [withRate(value), options];
    if (name === "clients") return [withClients(value), options];
    return [scenario, merge(options, name, value)];
  };
  const sets = flags.all("set", optionSet);
  if (sets.length === 0) sets.push({ name: "the defaults", options: {} });
  for (const set of sets) {
    if (against === undefined) checkOptions(set.name, set.options, scenario.keys);
    else checkVaried(set, against, (value) => varied(value, set.options)[1], scenario.keys);
  }
  const svg = flags.one("svg", (path) => path, undefined);
  const format = flags.has("json") ? "json" : flags.has("csv") ? "csv" : "table";
  return { scenario, varied, sets, against, svg, format };
}

/** The given flags, and their values as texts. */
class Flags {
  readonly #values: Values;

  constructor(args: readonly string[]) {
    this.#values = valuesOf(args);
  }

  has(name: string): boolean {
    return name in this.#values;
  }

  /** The parsed value of a flag that may be given once. */
  one<V>(name: string, parse: (text: string, name: string) => V, otherwise: V): V {
    const [text] = this.#values[name] ?? [];
    return text === undefined ? otherwise : parse(text, name);
  }

  /** The parsed values of a flag that may be repeated. */
  all<V>(name: string, parse: (text: string, name: string) => V): V[] {
    return (this.#values[name] ?? []).map((text) => parse(text, name));
  }

  /** The same. A time after the end would silently have no effect, and is refused. */
  within<K extends string, V extends Record<K, number>>(
    name: string,
    parse: (text: string, name: string) => V,
    at: K,
    end: number,
  ): V[] {
    return this.all(name, (text) => {
      const value = parse(text, name);
      return value[at] < end ? value : fail(name, `before the end at ${end} ms`, text);
    });
  }
}

/** The scenario, and the same with another rate or number of clients. */
function scenarioOf(flags: Flags, read: (path: string) => string, varied: string | undefined) {
  const recorded = flags.one("trace", (path) => readTrace(path, read), undefined);
  const { duration, warmUp } = timesOf(flags, recorded);
  const [keys, skew] = flags.one("keys", parseKeys, [0, 0]);
  const isOpen = varied !== "clients" &&
    !["trace", "clients", "bursts"].some((name) => flags.has(name));
  const surge = flags.one("surge", parseSurge, undefined);
  const burst = flags.all("bursts", parseBursts);
  const arrivalsAt = (rate: number | undefined): Arrivals => {
    if (recorded !== undefined) return trace(recorded);
    const process = rate === undefined ? [] : [surge ? surging(rate, surge) : poisson(rate)];
    return [...process, ...burst].reduce(merged, trace([]));
  };
  const pause = flags.one("think", distribution, constant(0));
  const clients = flags.one("clients", several, undefined);
  const scenario: Scenario = {
    arrivals: arrivalsAt(flags.one("rate", positive, isOpen ? 100 : undefined)),
    clients: clients === undefined ? undefined : { count: clients, pause },
    again: flags.one("again", parseAgain, undefined),
    duration,
    warmUp,
    use: flags.one("use", distribution, exponentialTime(20)),
    cores: flags.one("cores", positive, Infinity),
    breaking: flags.within("breaking", shareDuring, "from", duration),
    dial: flags.one("dial", distribution, constant(5)),
    check: flags.one("check", distribution, undefined),
    failing: flags.within("failing", shareDuring, "from", duration),
    slow: flags.within("slow", factorDuring, "from", duration),
    patience: flags.one("patience", distribution, undefined),
    urgent: flags.one("urgent", share, 0),
    outages: flags.within("down", span, "from", duration),
    pauses: flags.within("pause", span, "from", duration),
    recycles: flags.within("recycle", recycle, "at", duration),
    keys,
    skew,
    seed: flags.one("seed", count, 1),
  };
  const withRate = (rate: number) => ({ ...scenario, arrivals: arrivalsAt(rate) });
  const withClients = (count: number) => ({ ...scenario, clients: { count, pause } });
  return { scenario, withRate, withClients };
}

/** Until when callers come, and from when on they are counted. */
function timesOf(flags: Flags, recorded: readonly Arrival[] | undefined) {
  const duration = flags.one("duration", time, recorded?.at(-1)?.at ?? 60 * SECOND);
  if (duration === 0) throw new FlagError("--duration must be given, and longer than 0 ms");
  const warmUp = flags.one("warm-up", (text, name) => {
    const value = time(text, name);
    return value < duration ? value : fail(name, `less than the duration of ${duration} ms`, text);
  }, 0);
  return { duration, warmUp };
}

/** Of flags that can't be given together, or only together. */
function refuseContradictions(flags: Flags, varied: string | undefined): void {
  const given = (name: string) => flags.has(name) || name === varied;
  const others = (name: string, excluded: string[], why: string) => {
    const other = excluded.find((other) => given(name) && given(other));
    if (other !== undefined) throw new FlagError(`--${name} ${why}: leave out --${other}`);
  };
  const OPEN = ["rate", "surge", "bursts"];
  others("trace", [...OPEN, "clients"], "says all arrivals");
  others("clients", OPEN, "come again and again by themselves");
  others("json", ["csv"], "is another form of the same figures");
  if (varied === "rate" && flags.has("rate")) {
    throw new FlagError("--against varies the rate: leave out --rate");
  }
  if (varied === "clients" && flags.has("clients")) {
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

/** Lets the pool validate an option set with each varied value. */
function checkVaried(
  { name, options }: OptionSet,
  against: Variation,
  optionsWith: (value: number) => SimulatedOptions,
  keys: number,
): void {
  if (has(options, against.name)) {
    throw new FlagError(`--against varies ${against.name}: leave it out of --set ${name}`);
  }
  for (const value of against.values) {
    checkOptions(`${against.name}=${value}`, optionsWith(value), keys);
  }
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
