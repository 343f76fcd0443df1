import { exponential, type Random } from "./random.ts";

/** The arrival of a caller. Times are in milliseconds. */
export interface Arrival {
  /** The time of the arrival. */
  readonly at: number;
  /** How long it uses the resource, if a trace says so. */
  readonly use?: number;
}

/** Callers in order of arrival. */
export type Arrivals = (random: Random) => Iterable<Arrival>;

/** A Poisson process: independent callers at a mean rate per second. */
export function poisson(rate: number): Arrivals {
  return function* (random) {
    let at = 0;
    while (true) yield { at: at += exponential(1_000 / rate, random) };
  };
}

/** For how long the rate is multiplied in each period but the first. Times are in milliseconds. */
export interface Surge {
  readonly factor: number;
  readonly length: number;
  readonly every: number;
}

/** A Poisson process with a rate that is higher or lower at times. */
export function surging(rate: number, { factor, length, every }: Surge): Arrivals {
  const highest = Math.max(1, factor);
  return function* (random) {
    // Arrivals at the highest rate, of which some are left out.
    for (const arrival of poisson(rate * highest)(random)) {
      const now = arrival.at >= every && arrival.at % every < length ? factor : 1;
      if (random() * highest < now) yield arrival;
    }
  };
}

/** A number of callers at once, at this time and, with a period, repeatedly. */
export function bursts(size: number, at: number, every = Infinity): Arrivals {
  return function* () {
    for (let time = at; time < Infinity; time += every) {
      for (let i = 0; i < size; i++) yield { at: time };
    }
  };
}

/** Recorded arrivals. */
export function trace(arrivals: readonly Arrival[]): Arrivals {
  return () => arrivals;
}

/** Two kinds of arrivals together. */
export function merged(one: Arrivals, other: Arrivals): Arrivals {
  return function* (random) {
    const others = other(random)[Symbol.iterator]();
    let next = others.next();
    for (const arrival of one(random)) {
      while (!next.done && next.value.at < arrival.at) {
        yield next.value;
        next = others.next();
      }
      yield arrival;
    }
    for (; !next.done; next = others.next()) yield next.value;
  };
}

const TIME = String.raw`(\d+(?:\.\d*)?(?:e[+-]?\d+)?)`;
const TRACE_LINE = new RegExp(String.raw`^${TIME}(?:(?:\s*[,;]\s*|\s+)${TIME})?$`, "i");

/** Of a line in an error. */
const LONGEST_LINE = 60;

/**
 * Reads a trace: on each line a time in milliseconds, optionally followed by how long the
 * resource is used. The times count from the earliest one.
 */
export function parseTrace(text: string, name: string): Arrival[] {
  const lines = text.split(/\r?\n/);
  const arrivals: Arrival[] = [];
  for (const [index, text] of lines.entries()) {
    const line = text.replace(/#.*/, "").trim();
    if (line === "") continue;
    const [, at, use] = line.match(TRACE_LINE)?.map(Number) ?? [];
    if (at === undefined || !(at < Infinity) || use === Infinity) {
      throw new RangeError(
        `${name}, line ${index + 1}: expected "time" or "time,use" in ms, or a # before ` +
          `a comment: received ${line.slice(0, LONGEST_LINE)}`,
      );
    }
    arrivals.push(Number.isNaN(use) ? { at } : { at, use: use! });
  }
  if (arrivals.length === 0) throw new RangeError(`${name} has no arrivals`);
  arrivals.sort((a, b) => a.at - b.at);
  const start = arrivals[0]!.at;
  return arrivals.map((arrival) => ({ ...arrival, at: arrival.at - start }));
}
