import { oneLine } from "../internal/text.ts";

const OLDEST_DENO = [2, 9] as const;

/** What errors call an address of host and port. */
export function nameOf(scheme: string, hostname: string, port: number | string): string {
  const host = hostname.includes(":") ? `[${hostname.replace(/^\[(.*)\]$/, "$1")}]` : hostname;
  return oneLine(`${scheme}://${host}:${port}`);
}

/** Whether a retry cannot help: no permission, a bad certificate, bad arguments. */
export function isFinal(error: unknown): boolean {
  return error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotCapable ||
    error instanceof Deno.errors.InvalidData ||
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof URIError;
}

/** The original errors of those that name their place. */
const originals = new WeakMap<Error, Error>();

/** The error without its place, for a message that already names it. */
export function originalOf(error: unknown): unknown {
  return error instanceof Error ? originals.get(error) ?? error : error;
}

/**
 * The error of a dial with its place, of the same class and code, and with the original as
 * its cause. An error that is not the platform's, or not of `kinds`, stays as it is.
 */
export function dialError(error: unknown, place: string, kinds: readonly unknown[]): unknown {
  if (!(error instanceof Error) || originals.has(error)) return error;
  if (!kinds.includes(error.constructor)) return error;
  const ErrorType = error.constructor as ErrorConstructor;
  const text = `${oneLine(error.message)}, connecting to ${place}`;
  const named = new ErrorType(text, { cause: error });
  originals.set(named, error);
  const { code } = error as { code?: unknown };
  return code === undefined ? named : Object.assign(named, { code });
}

/** The classes of errors that a socket throws. */
export const SOCKET_ERRORS: readonly unknown[] = Object.values(Deno.errors);

/** The classes of errors that a call into the platform throws. */
export const PLATFORM_ERRORS: readonly unknown[] = [
  Error,
  TypeError,
  RangeError,
  URIError,
  ...SOCKET_ERRORS,
];

/** Throws if Deno is too old: it would ignore unknown options, such as the signal of a dial. */
export function checkRuntime(subject: string): void {
  const version = Deno.version.deno;
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_DENO;
  if (major > oldestMajor || major === oldestMajor && minor >= oldestMinor) return;
  throw new Deno.errors.NotSupported(
    `Cannot ${subject} as Deno ${OLDEST_DENO.join(".")} or later is needed: this is ${version}`,
  );
}
