/**
 * The errors of a pool. Errors of a dial reach the caller as the connector throws them.
 *
 * @module
 */

import { errorText, oneLine } from "../internal/text.ts";
import { type PoolStats, summary } from "./stats.ts";

/** The pool of an error, and its state. */
export interface PoolInfo {
  /** The name that the pool was given. */
  readonly name?: string;
  /** What the pool connects to. */
  readonly place?: string;
  /** The key, as text, if it is the pool of one key of a keyed pool. */
  readonly key?: string;
  /** The pool when the error was made. */
  readonly stats: PoolStats;
}

/** A dial that failed. */
export interface ConnectFailure {
  /** What the connector threw. */
  readonly error: unknown;
  /** How long ago, in milliseconds. */
  readonly ago: number;
}

/** The base of all errors of a pool. */
export class PoolError extends Error {
  /** The pool of the error, and its state. */
  readonly pool: PoolInfo;

  /** Makes the error; the pool does. */
  constructor(message: string, pool: PoolInfo, options?: ErrorOptions) {
    super(`${message}${subjectOf(pool)}`, options);
    this.name = "PoolError";
    this.pool = pool;
  }

  /** The pool's figures when the error was made. */
  get stats(): PoolStats {
    return this.pool.stats;
  }
}

/** The pool was closed before or while the call was made. */
export class PoolClosedError extends PoolError {
  /** Makes the error; the pool does. */
  constructor(pool: PoolInfo) {
    super("The pool is closed", pool);
    this.name = "PoolClosedError";
  }
}

/**
 * Which limit refused a caller: an option that was reached, `"retry"` if there is room
 * but no dial may begin yet, or `"paused"`.
 */
export type ExhaustedLimit =
  | "maxSize"
  | "maxPerKey"
  | "maxWaiting"
  | "maxConnecting"
  | "retry"
  | "paused";

/**
 * The caller could not be served at once, and would not wait (`timeout: 0`), or too
 * many others did (`maxWaiting`). `cause` is the error of the last dial, if that failed.
 */
export class PoolExhaustedError extends PoolError {
  /** The limit that was hit. */
  readonly limit: ExhaustedLimit;

  /** Makes the error; the pool does. */
  constructor(limit: ExhaustedLimit, pool: PoolInfo, failure?: ConnectFailure) {
    const { stats } = pool;
    const dials = stats.connecting > 0 ? `, dials under way ${stats.connecting}` : "";
    super(
      `The pool is exhausted: ${summary(stats)}; the limit is ${limit}${dials}${
        failureText(failure)
      }`,
      pool,
      causeOf(failure),
    );
    this.name = "PoolExhaustedError";
    this.limit = limit;
  }
}

/** The pool is overloaded, and this caller had waited for too long: see the option `overload`. */
export class PoolOverloadedError extends PoolError {
  /** How long the caller had waited, in milliseconds. */
  readonly waited: number;

  /** Makes the error; the pool does. */
  constructor(waited: number, pool: PoolInfo) {
    super(
      `The pool is overloaded: refused after ${Math.round(waited)} ms; ${summary(pool.stats)}`,
      pool,
    );
    this.name = "PoolOverloadedError";
    this.waited = waited;
  }
}

/**
 * What a call was at when its time ran out: waiting for a free resource
 * (`"wait"`), for admission to dial (`"admit"`), for a dial (`"connect"`, `"init"`), for
 * one of the connector's other methods, or for the body of `use` (`"use"`).
 */
export type TimeoutStage =
  | "wait"
  | "admit"
  | "connect"
  | "init"
  | "check"
  | "reset"
  | "close"
  | "accept"
  | "use";

const EXPECTED: Readonly<Record<TimeoutStage, string>> = {
  wait: "No resource became free",
  admit: "No leave to dial was given",
  connect: "No connection was established",
  init: "init() did not finish",
  check: "The check of an idle resource did not finish",
  reset: "reset() did not finish",
  close: "close() did not finish",
  accept: "What was prepared did not finish",
  use: "The body of use() did not finish",
};

/** Time ran out. The message says at what, how the pool stood, how the last dial failed if one did, and why nothing was lent. */
export class PoolTimeoutError extends PoolError {
  /** What was being waited for. */
  readonly stage: TimeoutStage;

  /** Makes the error; the pool does. The last dial's error becomes its cause. */
  constructor(
    stage: TimeoutStage,
    timeout: number,
    pool: PoolInfo,
    failure?: ConnectFailure,
    why = "",
  ) {
    super(
      `${EXPECTED[stage]} within ${Math.round(timeout)} ms: ${summary(pool.stats)}` +
        `${failureText(failure)}${why}`,
      pool,
      causeOf(failure),
    );
    this.name = "PoolTimeoutError";
    this.stage = stage;
  }
}

/** A lease was used after it had ended. */
export class LeaseReleasedError extends Error {
  /** Makes the error; the lease does. */
  constructor() {
    super("The lease has ended: acquire a new one");
    this.name = "LeaseReleasedError";
  }
}

function subjectOf({ name, place, key }: PoolInfo): string {
  const parts = [
    name === undefined ? "" : `pool ${oneLine(name)}`,
    key === undefined ? "" : `key ${key}`,
    place ?? "",
  ].filter((part) => part !== "");
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}

function failureText(failure: ConnectFailure | undefined): string {
  if (failure === undefined) return "";
  return `; the last dial failed ${Math.round(failure.ago)} ms ago: ${errorText(failure.error)}`;
}

function causeOf(failure: ConnectFailure | undefined): ErrorOptions | undefined {
  return failure === undefined ? undefined : { cause: failure.error };
}
