import { ignoreResult, isPromiseLike } from "../internal/promise_like.ts";
import { shown } from "../internal/text.ts";
import { checkOptions, countFrom, nested, type Rule, typed } from "../internal/validate.ts";
import type { PoolHooks } from "./hooks.ts";
import {
  checkLiveOptions,
  FIXED,
  HOOK_RULES,
  LIVE_RULES,
  type LiveOptions,
  POOL_RULES,
  type PoolOptions,
  type ResolvedPoolOptions,
  resolvePoolOptions,
} from "./options.ts";

/**
 * Limits and behaviour of a {@linkcode KeyedPool}. Options that are not named
 * here are those of a {@linkcode Pool}, and hold for each key by itself. There is
 * no `minIdle`: a key that is not used leaves nothing behind.
 *
 * @typeParam K The type of the keys.
 * @typeParam T The type of the resources.
 */
export interface KeyedPoolOptions<K, T = unknown>
  extends Omit<PoolOptions<T>, "minIdle" | "hooks"> {
  /**
   * How many resources may be open at once over all keys, in any state.
   * `Infinity` is allowed.
   *
   * @default {100}
   */
  maxSize?: number | undefined;
  /**
   * How many resources may be open at once for one key, in any state.
   *
   * @default {10}
   */
  maxPerKey?: number | undefined;
  /**
   * What tells keys apart: its results are compared as a `Map` compares its
   * keys. By default the key itself, which then must not be an object.
   */
  keyOf?: ((key: K) => unknown) | undefined;
  /**
   * How many times longer than others a key keeps a resource that it has waiters
   * for, while other keys wait: a number greater than 0. By default 1 for all.
   */
  weight?: ((key: K) => number) | undefined;
  /** Functions that are called when something happens, or a function that makes those of one key. */
  hooks?: PoolHooks<T> | ((key: K) => PoolHooks<T>) | undefined;
}

/** What can be changed while a keyed pool is open, for every key; see the options of the same names. */
export type KeyedLiveOptions<K> =
  & Omit<LiveOptions, "minIdle">
  & Pick<KeyedPoolOptions<K>, "maxPerKey" | "weight">;

/** The options of a keyed pool, all of them, checked. Live ones are changed in place. */
export interface ResolvedKeyedPoolOptions<K> {
  readonly maxSize: number;
  maxPerKey: number;
  readonly common: ResolvedPoolOptions;
  readonly keyOf: (key: K) => unknown;
  weightOf: (key: K) => number;
  readonly hooksOf: (key: K) => PoolHooks;
}

/** The subject in errors about a key's pool. */
export const NEW_KEY = "create the pool of a key";

/** The subject in errors about options that are changed while the pool is open. */
export const CHANGE = "change the options of the keyed pool";

const hooksRule = nested(HOOK_RULES);

const hooksOrFunction: Rule = (value, name, subject) => {
  if (typeof value !== "function") hooksRule(value, name, subject);
};

const { minIdle: _, ...COMMON_RULES } = POOL_RULES;

const RULES: Record<keyof KeyedPoolOptions<unknown>, Rule> = {
  ...COMMON_RULES,
  maxPerKey: countFrom(1),
  keyOf: typed("function"),
  weight: typed("function"),
  hooks: hooksOrFunction,
};

const { minIdle: __, ...COMMON_LIVE_RULES } = LIVE_RULES;

const KEYED_LIVE_RULES: Record<keyof KeyedLiveOptions<unknown>, Rule> = {
  ...COMMON_LIVE_RULES,
  maxPerKey: RULES.maxPerKey,
  weight: RULES.weight,
};

const KEYED_FIXED: typeof FIXED = {
  ...FIXED,
  keyOf:
    "can't be changed while the pool is open: it tells the present keys apart; make another pool",
  minIdle:
    "is not an option of a keyed pool: a key that nobody uses leaves nothing behind; warm() opens resources of a key",
};

/** Checks the options of a keyed pool and fills in the defaults. */
export function resolveKeyedPoolOptions<K>(
  given: KeyedPoolOptions<K, never>,
): ResolvedKeyedPoolOptions<K> {
  const subject = "create a keyed pool";
  checkOptions(given, RULES, subject);
  const { maxSize = 100, maxPerKey = 10, keyOf = primitiveOf, weight, hooks = {}, ...others } =
    given;
  return {
    maxSize,
    maxPerKey,
    keyOf,
    common: resolvePoolOptions({
      ...others,
      maxSize: maxPerKey,
      hooks: typeof hooks === "function" ? {} : hooks,
    }, subject),
    weightOf: weight === undefined ? () => 1 : checkedWeight(weight, NEW_KEY),
    hooksOf: typeof hooks === "function" ? checkedHooks(hooks) : () => hooks as PoolHooks,
  };
}

/** Checks a key's hooks before anything is opened for the key. */
export function checkedHooks<A extends unknown[]>(
  hooksOf: (...args: A) => PoolHooks<never>,
): (...args: A) => PoolHooks {
  return (...args) => {
    const hooks = hooksOf(...args);
    if (isPromiseLike<unknown>(hooks)) {
      ignoreResult(hooks, () => {});
      throw new TypeError(`Cannot ${NEW_KEY} as 'hooks(key)' must not be a promise`);
    }
    hooksRule(hooks, "hooks(key)", NEW_KEY);
    return hooks as PoolHooks;
  };
}

/** Checks what a function gives as the weight of a key. */
export function checkedWeight<K>(
  weightOf: (key: K) => number,
  subject: string,
): (key: K) => number {
  return (key) => {
    const weight = weightOf(key);
    if (typeof weight === "number" && weight > 0) return weight;
    ignoreResult(weight, () => {});
    throw new RangeError(
      `Cannot ${subject} as 'weight(key)' must be a number greater than 0: received ${
        shown(weight)
      }`,
    );
  };
}

/** Refuses options that a keyed pool does not have, or can't change. */
export function checkKeyedLiveOptions<K>(options: KeyedLiveOptions<K>): void {
  checkLiveOptions(options, KEYED_LIVE_RULES, KEYED_FIXED, CHANGE);
}

/** Checks a new size for a keyed pool. */
export function checkKeyedMaxSize(maxSize: number): void {
  RULES.maxSize(maxSize, "maxSize", "resize the keyed pool");
}

/** Two objects are never the same key, so each call would open its own resource. */
function primitiveOf(key: unknown): unknown {
  if (typeof key !== "object" && typeof key !== "function" || key === null) return key;
  throw new TypeError(
    "Cannot use an object as a key unless the option 'keyOf' says what tells such keys apart: " +
      `received ${shown(key)}`,
  );
}
