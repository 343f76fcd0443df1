/**
 * The report of a pool at one moment.
 *
 * @module
 */

import { errorText } from "../internal/text.ts";
import { type PoolStats, summary } from "./stats.ts";

/** One lease. */
export interface LeaseReport {
  /** How long it has been held, in milliseconds. */
  readonly held: number;
  /** How many times its resource has been lent, this lease included. */
  readonly uses: number;
  /** Where it was acquired, if the pool tracks that. */
  readonly acquiredAt?: string;
}

/** One caller that waits. */
export interface WaiterReport {
  /** What it waits for. */
  readonly stage: "wait" | "admit" | "connect" | "init" | "check";
  /** For how long, in milliseconds. */
  readonly waited: number;
  /** Its priority. */
  readonly priority: number;
}

/** One resource. */
export interface ResourceReport {
  /** What it is at. */
  readonly state: "connecting" | "idle" | "leased" | "preparing" | "closing";
  /** How long it has been open, in milliseconds; 0 while it is being dialled. */
  readonly age: number;
  /** How many times it has been lent. */
  readonly uses: number;
  /** How long it has been idle, in milliseconds, if it is. */
  readonly idle?: number;
}

/** A dial that failed. */
export interface FailureReport {
  /** What it said. */
  readonly error: string;
  /** How long ago, in milliseconds. */
  readonly ago: number;
}

/** How many idle resources a pool keeps. */
export interface IdleLimits {
  /** The option `minIdle`. */
  readonly minIdle: number;
  /** The option `maxIdle`. */
  readonly maxIdle: number;
}

/**
 * The report of a pool at one moment: `String(report)` is for logs,
 * `JSON.stringify(report)` for programs.
 */
export interface PoolReport {
  /** The name that the pool was given. */
  readonly name?: string;
  /** What it connects to. */
  readonly place?: string;
  /** Of which key it is, if it is that of one key of a keyed pool. */
  readonly key?: string;
  /** Whether the pool is open, paused or closed. */
  readonly state: "open" | "paused" | "draining" | "closing" | "closed";
  /** What the first waiter waits for, in words; empty if no caller waits. */
  readonly waitingFor: string;
  /** The gauges and counters. */
  readonly stats: PoolStats;
  /** How many idle resources are kept. */
  readonly limits: IdleLimits;
  /** The leases, the longest held first. */
  readonly leases: readonly LeaseReport[];
  /** The waiters, in the order in which they will be served. */
  readonly waiters: readonly WaiterReport[];
  /** The resources, the oldest first. */
  readonly resources: readonly ResourceReport[];
  /** The last failures of dials, the latest first. */
  readonly failures: readonly FailureReport[];
  /** The report as text, of several lines. */
  toString(): string;
}

/** How many of the longest held leases an error names. */
export const HELD_SHOWN = 3;

const INSIDE = new URL(".", import.meta.url).href;

/** The frames of a stack that are outside this module, the innermost first. */
export function framesOf(stack: string | undefined): string {
  const frames = (stack ?? "").split("\n").slice(1).filter((line) => !line.includes(INSIDE));
  return frames.map((frame) => frame.trim()).join("\n");
}

/** A report, with its text. */
export class PoolReportText implements PoolReport {
  declare readonly name?: string;
  declare readonly place?: string;
  declare readonly key?: string;
  declare readonly state: PoolReport["state"];
  declare readonly waitingFor: string;
  declare readonly stats: PoolStats;
  declare readonly limits: IdleLimits;
  declare readonly leases: readonly LeaseReport[];
  declare readonly waiters: readonly WaiterReport[];
  declare readonly resources: readonly ResourceReport[];
  declare readonly failures: readonly FailureReport[];

  constructor(report: Omit<PoolReport, "toString">) {
    Object.assign(this, report);
  }

  toString(): string {
    const { name, place, key, state, stats, waitingFor } = this;
    const subject = [name, key, place].filter((part) => part !== undefined).join(" ");
    const lines = [`Pool ${subject === "" ? "" : `${subject} `}(${state}): ${summary(stats)}`];
    if (waitingFor !== "") lines.push(`  waiting for ${waitingFor}`);
    lines.push(...listed("leases", this.leases, leaseText));
    lines.push(...listed("waiters", this.waiters, waiterText));
    lines.push(...listed("resources", this.resources, resourceText));
    lines.push(
      ...listed("failed dials", this.failures, ({ error, ago }) => `${ago} ms ago: ${error}`),
    );
    return lines.join("\n");
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

const MOST_LISTED = 20;

function listed<E>(title: string, entries: readonly E[], textOf: (entry: E) => string): string[] {
  if (entries.length === 0) return [];
  const lines = entries.slice(0, MOST_LISTED).map((entry) => `    ${textOf(entry)}`);
  const rest = entries.length - MOST_LISTED;
  if (rest > 0) lines.push(`    and ${rest} more`);
  return [`  ${title} (${entries.length})`, ...lines];
}

function leaseText({ held, uses, acquiredAt }: LeaseReport): string {
  const [place] = (acquiredAt ?? "").split("\n");
  return `held for ${held} ms, use ${uses}${place ? `, acquired ${place}` : ""}`;
}

function waiterText({ stage, waited, priority }: WaiterReport): string {
  return `${stage} for ${waited} ms${priority === 0 ? "" : `, priority ${priority}`}`;
}

function resourceText({ state, age, uses, idle }: ResourceReport): string {
  return `${state}, age ${age} ms, uses ${uses}${
    idle === undefined ? "" : `, idle for ${idle} ms`
  }`;
}

/** What an error says, for a report. */
export function failureReport(error: unknown, ago: number): FailureReport {
  return { error: errorText(error), ago: Math.round(ago) };
}
