import { shown } from "../internal/validate.ts";
import type { Lease, LeaseSlot } from "./lease.ts";

/** What the pool hands to a connector's asynchronous methods. */
export interface ConnectorContext {
  /**
   * Aborted when the pool gives up on the call: at its time limit, or when the
   * pool is closed. A connector that heeds it leaves nothing behind.
   */
  readonly signal: AbortSignal;

  /**
   * Aborted when the pool is closed. It is for what may outlast the call, as does
   * a dial that the system can't abort. A pool always gives it.
   */
  readonly closed?: AbortSignal;
}

/**
 * Knows how to open, check, reset and close one kind of resource. Only
 * `connect` is needed; a function of the same form will do for it.
 *
 * A connector may throw, reject, hang or answer late in any of its methods: it
 * costs its caller a clear error, and the pool no slot. Which methods it has is
 * looked at when the pool is made.
 *
 * @typeParam T The type of the resource.
 * @typeParam L The type of the lease.
 *
 * @example
 * ```ts
 * import { type Connector, Pool } from "@x/sockpool";
 *
 * const counters: Connector<{ count: number }> = {
 *   connect: () => ({ count: 0 }),
 *   reset: (counter) => {
 *     counter.count = 0;
 *   },
 * };
 * await using pool = new Pool(counters, { maxSize: 2 });
 * using counter = await pool.acquire();
 * counter.value.count++;
 * ```
 */
export interface Connector<T, L extends Lease<T> = Lease<T>> {
  /** What errors call the place to which it connects, such as `tcp://10.0.0.5:6379`. Not for secrets. */
  readonly name?: string;

  /** Opens a resource. Bounded by `connectTimeout`; what it gives after that is closed. */
  connect(context: ConnectorContext): T | PromiseLike<T>;

  /**
   * Closes a resource. Bounded by `checkTimeout`. By default the resource's own
   * `Symbol.asyncDispose`, `Symbol.dispose` or `close()`, the first that it has.
   */
  close?(resource: T): void | PromiseLike<void>;

  /**
   * Whether a resource that has been idle for `checkAfter` or longer still
   * works. Bounded by `checkTimeout`; a throw counts as no. One that passes
   * straight to a caller in line has not been idle.
   */
  check?(resource: T, context: ConnectorContext): boolean | PromiseLike<boolean>;

  /** Makes a returned resource fit for the next borrower. Bounded by `checkTimeout`; a throw retires it. */
  reset?(resource: T, context: ConnectorContext): void | PromiseLike<void>;

  /** Whether the resource is known not to be reusable. Asked when it is returned, and before it is lent again. */
  isBroken?(resource: T): boolean;

  /** Whether a dial that failed so may be tried again. By default any may. */
  isRetryable?(error: unknown): boolean;

  /**
   * Whether a reused resource failed its borrower before it gave anything back,
   * so that what was asked of it may be asked once more of another. Asked by
   * `use` with `retryStale`; by default it never may.
   */
  isStale?(resource: T): boolean;

  /** Makes the lease that a borrower gets. By default a plain {@linkcode Lease}. */
  lease?(slot: LeaseSlot<T>): L;

  /**
   * Told that the resource goes idle, or, if it `isWanted`, that a caller is
   * waiting to have it next. From here until `unwatch` the connector may call
   * `lost` to have it retired at once.
   */
  watch?(resource: T, lost: (reason: unknown) => void, isWanted: boolean): void;

  /**
   * What has to settle before a watched resource is lent, if anything: asked just
   * then. Bounded by `checkTimeout`; if it rejects, the resource is retired. One
   * who is hurried (`tryAcquire`) will not await it, and gets the resource if
   * this returns undefined: then only a reason for doubt should be given. It
   * `hasRested` if it was returned a millisecond ago or earlier.
   */
  settle?(resource: T, isHurried: boolean, hasRested: boolean): PromiseLike<void> | undefined;

  /**
   * How many connections were given up, at the dial or at the close, that the
   * system can't free yet, for the stats. They hold no slot: it is the connector
   * that bounds them.
   */
  lingering?(): number;

  /** Told that the resource, after a `watch`, is about to be used again: by a borrower or by `check`. */
  unwatch?(resource: T): void;
}

const METHODS = [
  "close",
  "check",
  "reset",
  "isBroken",
  "isRetryable",
  "isStale",
  "lease",
  "watch",
  "settle",
  "lingering",
  "unwatch",
] as const;

/** Turns a bare function into a connector, and refuses what is neither. */
export function toConnector<T, L extends Lease<T>>(
  given: Connector<T, L> | Connector<T, L>["connect"],
  subject = "create a pool",
  name = "connector",
): Connector<T, L> {
  if (typeof given === "function") return { connect: given };
  if (typeof given?.connect !== "function") {
    throw new TypeError(
      `Cannot ${subject} as '${name}' must be a function or an object with a connect() method: ` +
        `received ${shown(given)}`,
    );
  }
  for (const method of METHODS) {
    if (given[method] !== undefined && typeof given[method] !== "function") {
      throw new TypeError(
        `Cannot ${subject} as the ${name}'s '${method}' must be a function: received ${
          shown(given[method])
        }`,
      );
    }
  }
  return given;
}

interface Closable {
  [Symbol.asyncDispose]?: unknown;
  [Symbol.dispose]?: unknown;
  close?: unknown;
}

/** Closes a resource by its connector's `close`, else in the way the resource itself offers. */
export function closeResource<T>(
  connector: Pick<Connector<T>, "close">,
  resource: T,
): void | PromiseLike<void> {
  if (connector.close !== undefined) return connector.close(resource);
  const closable = resource as Closable | null | undefined;
  const close = closable?.[Symbol.asyncDispose] ?? closable?.[Symbol.dispose] ?? closable?.close;
  if (typeof close === "function") return close.call(resource);
}
