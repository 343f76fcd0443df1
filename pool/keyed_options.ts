import { ignoreResult, isPromiseLike } from "../internal/promise_like.ts";
import { shown } from "../internal/text.ts";
import { checkOptions, countFrom, nested, type Rule, typed } from "../internal/validate.ts";
import type { PoolHooks } from "./hooks.ts";
import {
  checkLiveOptions,
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

/** The options of a keyed pool, all of them, checked. */
export interface ResolvedKeyedPoolOptions<K> {
  readonly maxSize: number;
  readonly maxPerKey: number;
  readonly common: ResolvedPoolOptions;
  readonly keyOf: (key: K) => unknown;
  readonly weightOf: (key: K) => number;
  readonly hooksOf: (key: K) => PoolHooks;
}

/** The subject in errors about a key's pool. */
export const NEW_KEY = "create the pool of a key";

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
    weightOf: weight === undefined ? () => 1 : checkedWeight(weight),
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

function checkedWeight<K>(weightOf: (key: K) => number): (key: K) => number {
  return (key) => {
    const weight = weightOf(key);
    if (typeof weight === "number" && weight > 0) return weight;
    ignoreResult(weight, () => {});
    throw new RangeError(
      `Cannot ${NEW_KEY} as 'weight(key)' must be a number greater than 0: received ${
        shown(weight)
      }`,
    );
  };
}

/** Refuses options that a keyed pool does not have. */
export function checkKeyedLiveOptions(options: Omit<LiveOptions, "minIdle">): void {
  const { minIdle: _, ...rules } = LIVE_RULES;
  checkLiveOptions(options, rules, RULES, "change the options of the keyed pool");
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
