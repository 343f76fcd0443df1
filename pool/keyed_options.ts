import { countFrom, nested, type Rule, typed } from "../internal/validate.ts";
import { checkOptions } from "../internal/validate.ts";
import type { PoolHooks } from "./hooks.ts";
import {
  HOOK_RULES,
  POOL_RULES,
  type PoolOptions,
  type ResolvedPoolOptions,
  resolvePoolOptions,
} from "./options.ts";

/**
 * Bounds, limits and manners of a {@linkcode KeyedPool}. Those that are not named
 * here are the same as a {@linkcode Pool}'s, and hold for each key by itself. There
 * is no `minIdle`: a key that nobody uses leaves nothing behind.
 *
 * @typeParam K The type of the keys.
 */
export interface KeyedPoolOptions<K> extends Omit<PoolOptions, "minIdle" | "hooks"> {
  /**
   * How many resources may be open at once over all keys, in whatever state.
   * `Infinity` is allowed.
   *
   * @default {100}
   */
  maxSize?: number;
  /**
   * How many resources may be open at once for one key, in whatever state.
   *
   * @default {10}
   */
  maxPerKey?: number;
  /**
   * What tells keys apart: its results are compared as a `Map` compares its
   * keys. By default the key itself, which then must not be an object.
   */
  keyOf?: (key: K) => unknown;
  /** Functions to be told what happens, or a function that makes those of one key. */
  hooks?: PoolHooks | ((key: K) => PoolHooks);
}

/** The options of a keyed pool, all of them, checked. */
export interface ResolvedKeyedPoolOptions<K> {
  readonly maxSize: number;
  readonly maxPerKey: number;
  readonly keyOf: (key: K) => unknown;
  /** The options of one key's pool. */
  poolOptionsOf(key: K): ResolvedPoolOptions;
}

/** What errors call the making of a key's pool. */
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
  hooks: hooksOrFunction,
};

/** Checks the options of a keyed pool and fills in the defaults. */
export function resolveKeyedPoolOptions<K>(
  given: KeyedPoolOptions<K>,
): ResolvedKeyedPoolOptions<K> {
  const subject = "create a keyed pool";
  checkOptions(given, RULES, subject);
  const { maxSize = 100, maxPerKey = 10, keyOf = primitiveOf, hooks = {}, ...others } = given;
  const common = resolvePoolOptions({ ...others, maxSize: maxPerKey }, subject);
  const hooksOf = typeof hooks === "function" ? checked(hooks) : () => hooks;
  return {
    maxSize,
    maxPerKey,
    keyOf,
    poolOptionsOf: (key) => ({ ...common, hooks: hooksOf(key) }),
  };
}

/** Refuses what is not a key's hooks before anything is opened for the key. */
function checked<K>(hooksOf: (key: K) => PoolHooks): (key: K) => PoolHooks {
  return (key) => {
    const hooks = hooksOf(key);
    hooksRule(hooks, "hooks(key)", NEW_KEY);
    return hooks;
  };
}

/** Checks a new size for a keyed pool. */
export function checkKeyedMaxSize(maxSize: number): void {
  RULES.maxSize(maxSize, "maxSize", "resize the keyed pool");
}

/** Two objects are never the same key, however alike: each call would open a resource of its own. */
function primitiveOf(key: unknown): unknown {
  if (typeof key !== "object" && typeof key !== "function" || key === null) return key;
  throw new TypeError(
    "Cannot use an object as a key unless the option 'keyOf' says what tells such keys apart: " +
      `received ${key.constructor?.name ?? "object"}`,
  );
}
