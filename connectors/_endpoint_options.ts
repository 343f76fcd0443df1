import { wallNow } from "../internal/clock.ts";
import {
  checkOptions,
  duration,
  positiveDuration,
  type Rule,
  typed,
} from "../internal/validate.ts";

/** When an endpoint that is down, or slow to answer, is passed over. All times are in milliseconds. */
export interface EndpointOptions {
  /**
   * For how long an endpoint is passed over after a dial that failed. It doubles
   * with each further failure, and is up to a half shorter at random.
   *
   * @default {100}
   */
  minDelay?: number;
  /**
   * What that delay never exceeds.
   *
   * @default {5_000}
   */
  maxDelay?: number;
  /**
   * How long an endpoint may take to answer before it counts as down, and the
   * next is dialled beside it. `Infinity` to wait until it fails. A group that is
   * an endpoint of another needs longer than its own endpoints have.
   *
   * @default {2_000}
   */
  attemptDelay?: number;
  /**
   * The clock that decides whether a delay is over, in milliseconds; it must
   * never go back.
   *
   * @default {performance.now}
   */
  clock?: () => number;
}

/** The options, all of them, checked. */
export type ResolvedEndpointOptions = Required<EndpointOptions>;

const RULES: Record<keyof EndpointOptions, Rule> = {
  minDelay: duration,
  maxDelay: duration,
  attemptDelay: positiveDuration,
  clock: typed("function"),
};

/** Checks the options and fills in the defaults. */
export function resolveEndpointOptions(
  given: EndpointOptions,
  subject: string,
): ResolvedEndpointOptions {
  checkOptions(given, RULES, subject);
  const { minDelay = 100, attemptDelay = 2_000, clock = wallNow } = given;
  const { maxDelay = Math.max(5_000, minDelay) } = given;
  if (maxDelay < minDelay) {
    throw new RangeError(
      `Cannot ${subject} as 'maxDelay' must be at least 'minDelay' (${minDelay}): received ${maxDelay}`,
    );
  }
  return { minDelay, maxDelay, attemptDelay, clock };
}
