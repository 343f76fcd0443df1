import { ignoreResult } from "../internal/promise_like.ts";
import { shown } from "../internal/text.ts";
import type { Lease, LeaseSlot } from "./lease.ts";
import type { Permit } from "./semaphore.ts";
import type { RetireReason } from "./stats.ts";

/** What the pool passes to a connector's asynchronous methods. */
export interface ConnectorContext {
  /**
   * Aborted when the pool gives up on the call: at its time limit, or when the
   * pool is closed. A connector that stops at the signal leaves nothing behind.
   */
  readonly signal: AbortSignal;
}

/** What the pool passes to {@linkcode Connector.admit}. */
export interface AdmitContext extends ConnectorContext {
  /** Whether no caller waits for the dial: it is for a warm-up, or to keep `minIdle`. */
  readonly background?: boolean;
}

/** What the pool passes to {@linkcode Connector.connect}. */
export interface ConnectContext extends ConnectorContext {
  /**
   * Retires the resource that this call opens, in any state and at any later
   * time. A leased one is closed when it is released; with `now: true` at
   * once, while leased. While it is being opened, its dial counts as failed.
   */
  retire(reason: unknown, options?: RetireOptions): void;
  /**
   * Aborted when the pool is closed: for what may outlast the call, such as a
   * dial that the system can't abort. A pool always gives it.
   */
  readonly closed?: AbortSignal;
}

/** Options of {@linkcode ConnectContext.retire}. */
export interface RetireOptions {
  /**
   * Whether a leased resource is closed at once.
   *
   * @default {false}
   */
  now?: boolean | undefined;
}

/** What the pool passes to {@linkcode Connector.watch}. */
export interface WatchContext {
  /** Retires the resource at once: it was lost while idle. Does nothing after `unwatch`. */
  lost(reason: unknown): void;
  /** Whether a caller is waiting to have the resource next. */
  readonly wanted: boolean;
  /**
   * Takes the idle resource out of reach while something is done with it, such as
   * reading what the server says unasked. Its state is `preparing` meanwhile.
   * Bounded by `checkTimeout`; a rejection retires the resource.
   */
  prepare(work: (context: ConnectorContext) => PromiseLike<void>): void;
}

/** What the pool passes to {@linkcode Connector.probe}. */
export interface ProbeOptions {
  /**
   * Whether the caller can wait. `tryAcquire` can't: it gets the resource if the
   * probe returns undefined, so that only a reason for doubt should be given.
   */
  readonly wait: boolean;
  /** Whether the resource was returned a millisecond ago or earlier. */
  readonly rested: boolean;
}

// As members of an object type, functions are compared as methods are: a `Connector<Socket>` fits a
// `Connector<unknown>`. A method itself can't be undefined.

/**
 * Knows how to open, check, reset and close one kind of resource. Only
 * `connect` is needed; a function of the same form will do for it.
 *
 * A connector may throw, reject, hang or answer late in any of its methods: it
 * costs its caller a clear error, and the pool no slot. Which methods it has is
 * looked up when the pool is made and before each dial; one that is undefined is missing.
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
  /** What it connects to, as errors and labels name it, such as `tcp://10.0.0.5:6379`. It holds no secrets. */
  readonly place?: string | undefined;

  /**
   * Admission to dial, such as a permit of a semaphore: awaited before `connect`, and
   * not counted in `connectTimeout`. The pool gives the permit back when the resource
   * is closed or the dial has failed; a detached resource keeps it.
   */
  admit?: ((context: AdmitContext) => Permit | PromiseLike<Permit>) | undefined;

  /** Opens a resource. Bounded by `connectTimeout`; a later resource is closed. */
  connect(context: ConnectContext): T | PromiseLike<T>;

  /**
   * Prepares a new resource for its first use, such as by a login. Part of the
   * dial, with the same deadline. On failure, abort or timeout the pool closes the
   * resource.
   */
  init?:
    | { call(resource: T, context: ConnectorContext): void | PromiseLike<void> }["call"]
    | undefined;

  /**
   * Closes a resource. Bounded by `checkTimeout`. By default the resource's own
   * `Symbol.asyncDispose`, `Symbol.dispose` or `close()`, the first that it has.
   */
  close?: { call(resource: T, reason: RetireReason): void | PromiseLike<void> }["call"] | undefined;

  /**
   * Whether a resource that has been idle for `checkAfter` or longer still
   * works. Bounded by `checkTimeout`; a throw counts as no. One that passes
   * straight to a waiting caller has not been idle.
   */
  check?:
    | { call(resource: T, context: ConnectorContext): boolean | PromiseLike<boolean> }["call"]
    | undefined;

  /** Prepares a released resource for the next borrower. Bounded by `checkTimeout`; a throw retires it. */
  reset?:
    | { call(resource: T, context: ConnectorContext): void | PromiseLike<void> }["call"]
    | undefined;

  /** Whether the resource is known not to be reusable. Asked when it is returned, and before it is lent again. */
  isBroken?: { call(resource: T): boolean }["call"] | undefined;

  /** Whether a dial that failed so may be tried again. By default any may. */
  isRetryable?: ((error: unknown) => boolean) | undefined;

  /**
   * Whether an error thrown out of `use` spoils the resource, which is retired
   * then. By default every error does.
   */
  isFatal?: { call(error: unknown, resource: T): boolean }["call"] | undefined;

  /**
   * Whether a reused resource failed before anything came back, so that the request
   * may be repeated on another. Asked by
   * `use` with `retryStale`; by default it never may.
   */
  isStale?: { call(resource: T, error: unknown): boolean }["call"] | undefined;

  /** Makes the lease that a borrower gets. By default a plain {@linkcode Lease}. */
  lease?: { call(slot: LeaseSlot<T>): L }["call"] | undefined;

  /**
   * Called when the resource goes idle. From then until `unwatch` the connector
   * may call `context.lost` to have it retired at once.
   */
  watch?: { call(resource: T, context: WatchContext): void }["call"] | undefined;

  /**
   * Called before a watched resource is lent. Returns the promise to await so that no
   * known event is missed, if any. Bounded by `checkTimeout`; a
   * rejection retires the resource.
   */
  probe?:
    | { call(resource: T, options: ProbeOptions): PromiseLike<void> | undefined }["call"]
    | undefined;

  /**
   * How many connections were given up, at the dial or at the close, that the
   * system can't free yet, for the stats. They hold no slot: it is the connector
   * that bounds them.
   */
  lingering?: (() => number) | undefined;

  /** Called when the resource, after a `watch`, is about to be used again: by a borrower or by `check`. */
  unwatch?: { call(resource: T): void }["call"] | undefined;
}

const METHODS = [
  "admit",
  "init",
  "close",
  "check",
  "reset",
  "isBroken",
  "isRetryable",
  "isFatal",
  "isStale",
  "lease",
  "watch",
  "probe",
  "lingering",
  "unwatch",
] as const;

/** Turns a bare function into a connector, and refuses other values. */
export function toConnector<T, L extends Lease<T>>(
  given: Connector<T, L> | Connector<T, L>["connect"],
  subject = "create a pool",
  name = "connector",
): Connector<T, L> {
  if (typeof given === "function") return { connect: given };
  if (typeof given?.connect !== "function") {
    ignoreResult(given, () => {}); // an asynchronous function stood where a connector was to be given
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
  reason: RetireReason,
): void | PromiseLike<void> {
  if (connector.close !== undefined) return connector.close(resource, reason);
  const closable = resource as Closable | null | undefined;
  const close = closable?.[Symbol.asyncDispose] ?? closable?.[Symbol.dispose] ?? closable?.close;
  if (typeof close === "function") return close.call(resource);
}
