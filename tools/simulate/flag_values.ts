import type { PoolOptions } from "../../mod.ts";
import { type Arrivals, bursts, type Surge } from "./arrivals.ts";
import {
  constant,
  type Distribution,
  exponentialTime,
  lognormal,
  sigmaOf,
} from "./distribution.ts";
import type { During, Span } from "./server.ts";
import type { Scenario, SimulatedOptions } from "./simulation.ts";

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

export const SECOND = 1_000;
const UNITS: Record<string, number> = { ms: 1, s: SECOND, m: 60 * SECOND, h: 3_600 * SECOND };

export function fail(name: string, expected: string, text: string | undefined): never {
  throw new FlagError(`--${name} must be ${expected}: received ${text}`);
}

export function positive(text: string, name: string): number {
  const value = Number(text);
  return text !== "" && value > 0 && value < Infinity
    ? value
    : fail(name, "a number greater than 0", text);
}

export function count(text: string, name: string): number {
  return /^\d{1,9}$/.test(text) ? Number(text) : fail(name, "a whole number", text);
}

export function several(text: string, name: string): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  return value > 0 ? value : fail(name, "a whole number greater than 0", text);
}

export function share(text: string, name: string): number {
  const value = Number(text);
  return text !== "" && value >= 0 && value <= 1 ? value : fail(name, "a number from 0 to 1", text);
}

/** `250`, `250ms`, `10s`, `2m`, `1h`. */
export function time(text: string, name: string): number {
  const [, number, unit = "ms"] = text.match(/^(\d+(?:\.\d+)?)(ms|s|m|h)?$/) ?? [];
  if (number === undefined) fail(name, "a time such as 250ms, 10s or 2m", text);
  return Number(number) * UNITS[unit]!;
}

/** `20s-25s` */
export function span(text: string, name: string): Span {
  const [from, to, ...rest] = text.split("-").map((part) => time(part, name));
  if (to === undefined || rest.length > 0 || from! >= to) {
    fail(name, "a time from and to, such as 20s-25s", text);
  }
  return { from: from!, to };
}

/** `20s/10s` */
export function recycle(text: string, name: string): { at: number; over: number } {
  const [at, over, ...rest] = text.split("/").map((part) => time(part, name));
  if (over === undefined || rest.length > 0) {
    fail(name, "a time and what to spread it over, such as 20s/10s", text);
  }
  return { at: at!, over };
}

/** `50/2s`, `5000@1s` */
export function parseBursts(text: string, name: string): Arrivals {
  const [, size, sign, when] = text.match(/^(\d+)([/@])(.*)$/) ?? [];
  if (!(Number(size) >= 1)) {
    fail(name, "a number of callers, and how often or when they come, such as 50/2s, 50@2s", text);
  }
  const at = time(when!, name);
  if (sign === "@") return bursts(Number(size), at);
  return at > 0 ? bursts(Number(size), at, at) : fail(name, "repeated after more than 0 ms", text);
}

/** `3,20s/1m` */
export function parseSurge(text: string, name: string): Surge {
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
export function parseAgain(text: string, name: string): Scenario["again"] {
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
export function parseKeys(text: string, name: string): [keys: number, skew: number] {
  const [, keys, skew = "0"] = text.match(/^([1-9]\d{0,5})(?:,(\d+(?:\.\d+)?))?$/) ?? [];
  if (keys !== undefined) return [Number(keys), Number(skew)];
  return fail(name, "a number of keys and, after a comma, their skew, such as 20 or 20,1", text);
}

/** `0.5`, `0.5@20s-25s` */
export function shareDuring(text: string, name: string): During {
  return during(text, name, share);
}

/** `3`, `3@20s-25s` */
export function factorDuring(text: string, name: string): During {
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
export function distribution(text: string, name: string): Distribution {
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
export function optionSet(text: string): OptionSet {
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

export function merge(options: SimulatedOptions, name: string, value: unknown): SimulatedOptions {
  const [outer, inner, ...rest] = name.split(".") as [keyof PoolOptions, string?];
  if (["clock", "hooks"].includes(outer)) throw new FlagError(`--set can't set ${outer}`);
  if (inner === undefined) return { ...options, [outer]: value };
  if (rest.length > 0) throw new FlagError(`There is no option ${name}`);
  return { ...options, [outer]: { ...options[outer] as object, [inner]: value } };
}

export function has(options: SimulatedOptions, name: string): boolean {
  const [outer, inner] = name.split(".") as [keyof SimulatedOptions, string?];
  const value = options[outer] as unknown;
  return inner === undefined ? outer in options : Object.hasOwn(Object(value), inner);
}

function valueOf(text: string): unknown {
  if (text === "true" || text === "false") return text === "true";
  return Number.isNaN(Number(text)) ? text : Number(text);
}

/** `rate=50..400/50`, `maxSize=4,8,16` */
export function variation(text: string, name: string): Variation {
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
