import { shown } from "../internal/validate.ts";
import { originalOf } from "./_dial_error.ts";
import type { Endpoint } from "./_endpoint.ts";

/** Why an endpoint could not be reached. */
export interface Failure {
  readonly endpoint: Endpoint;
  readonly error: unknown;
}

/** The errors that trying again can't mend. */
const finals = new WeakSet<Error>();

/** Says which endpoints failed and why; it is worth trying again if it is so with one of them. */
export function unreachable(failures: readonly Failure[]): AggregateError {
  const reasons = failures.map(({ endpoint, error }) =>
    `${endpoint.name} (${toText(originalOf(error))})`
  );
  const error = new AggregateError(
    failures.map(({ error }) => error),
    `No endpoint could be reached: ${reasons.join(", ")}`,
  );
  const mayRetry = failures.some(({ endpoint, error }) => endpoint.isRetryable(error));
  return mayRetry ? error : final(error);
}

/** Marks an error as one that trying again can't mend. */
export function final<E extends Error>(error: E): E {
  finals.add(error);
  return error;
}

/** Whether trying again can't mend it. */
export function isFinal(error: unknown): boolean {
  return error instanceof Error && finals.has(error);
}

function toText(error: unknown): string {
  return error instanceof Error ? String(error) : shown(error);
}
