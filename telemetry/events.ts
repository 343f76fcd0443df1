import { oneLine, shown } from "../internal/text.ts";
import type { PoolHooks } from "../pool/mod.ts";
import { isKeyedPool, type ObservableKeyedPool, type ObservablePool } from "./observable.ts";

/** Adds hooks to a pool, or, with its key as text, to each of the pools of a keyed one. */
export function observe(
  pool: ObservablePool | ObservableKeyedPool,
  hooksOf: (key?: string) => PoolHooks,
): Disposable {
  if (!isKeyedPool(pool)) return pool.observe(hooksOf());
  return pool.observe((_key, text) => hooksOf(text));
}

const LONGEST_KEY = 100;

/** A key as the pool names it, if possible: the result of `keyOf` for an object is unknown. */
export function keyText(key: unknown): string {
  const text = typeof key === "string" ? oneLine(key) : shown(key);
  return text.length <= LONGEST_KEY ? text : `${text.slice(0, LONGEST_KEY)}…`;
}

/** The class of an error, as its label; the error may be any value. */
export function errorType(error: unknown): string {
  try {
    const { name } = error as Error;
    return typeof name === "string" && name !== "" ? oneLine(name) : typeof error;
  } catch {
    return typeof error;
  }
}

/** Whether this error is a caller's timeout. */
export function isTimeout(error: unknown): boolean {
  return errorType(error) === "PoolTimeoutError";
}

/** Whether an error is that of a dial. */
export function isOfDial(source: string): boolean {
  return source === "connect" || source === "init" || source === "admit";
}

/** Disposes of all of them, the last first. */
export function together(parts: readonly (Disposable | undefined)[]): Disposable {
  return {
    [Symbol.dispose]() {
      for (const part of parts.toReversed()) part?.[Symbol.dispose]();
    },
  };
}
