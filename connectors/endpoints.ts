/**
 * Several endpoints behind one connector.
 *
 * @module
 */

import { monotonicNow } from "../internal/clock.ts";
import { showing, shown } from "../internal/text.ts";
import { checkOptions, duration, positiveDuration, type Rule } from "../internal/validate.ts";
import { type ConnectContext, type Connector, toConnector } from "../pool/connector.ts";
import type { Lease } from "../pool/lease.ts";
import {
  type AnyConnector,
  type Endpoint,
  inOrder,
  leastLoaded,
  type Selection,
} from "./endpoints/endpoint.ts";
import { EndpointGroup, type GroupSettings } from "./endpoints/group.ts";

/**
 * When an endpoint that is down, or slow to answer, is passed over. All times are
 * in milliseconds. The time of a stall of the event loop is not counted.
 */
export interface EndpointOptions {
  /**
   * For how long an endpoint is passed over after a dial that failed. It doubles
   * with each further failure, and is up to a half shorter at random.
   *
   * @default {100}
   */
  minDelay?: number | undefined;
  /**
   * What that delay never exceeds.
   *
   * @default {5_000}
   */
  maxDelay?: number | undefined;
  /**
   * How long an endpoint may take to answer before it counts as down, and the
   * next is dialled beside it. `Infinity` to wait until it fails. A group that is
   * an endpoint of another needs longer than its own endpoints have.
   *
   * @default {2_000}
   */
  attemptDelay?: number | undefined;
  /**
   * The clock that decides whether a delay is over, in milliseconds; it must
   * never go back. For tests and simulations. By default the monotonic clock,
   * which the date does not change.
   */
  clock?: { now(): number } | undefined;
}

/** The state of one of several endpoints. */
export interface EndpointStatus {
  /** The connector's place, or `connectors[0]` for the first if it has none. */
  readonly name: string;
  /** Whether it is dialled like any other: not if the last dial failed, or took too long. */
  readonly up: boolean;
  /** Why it is not up. */
  readonly error: unknown;
  /** How many of its resources are open. */
  readonly open: number;
  /** How many of its dials are in flight. */
  readonly connecting: number;
}

/** A connector that stands for several. */
export interface EndpointsConnector<T, L extends Lease<T> = Lease<T>> extends Connector<T, L> {
  /** The state of each endpoint at this moment, in the given order. */
  readonly endpoints: readonly EndpointStatus[];
}

/** An endpoint: a connector, or a function that opens a resource, as for a pool. */
export type EndpointSource<T = unknown, L extends Lease<T> = Lease<T>> =
  | Connector<T, L>
  | ((context: ConnectContext) => T | PromiseLike<T>);

/** The resource that an endpoint opens. */
export type EndpointResource<S> = S extends { connect(context: ConnectContext): infer R }
  ? Awaited<R>
  : S extends (context: ConnectContext) => infer R ? Awaited<R>
  : never;

/** The lease on what an endpoint opens. */
export type EndpointLease<S> = S extends { lease?: ((slot: infer _Slot) => infer L) | undefined }
  ? L extends Lease<EndpointResource<S>> ? L : Lease<EndpointResource<S>>
  : Lease<EndpointResource<S>>;

/**
 * Spreads what a pool opens evenly over several endpoints. The next dial goes
 * to the one with the fewest resources open and dials in flight; of equals, to
 * the one whose turn is longest ago. So the spread stays even when resources are
 * closed, and one that was down catches up, where a mere turn would not.
 *
 * A dial that fails, whether for a refused connection, a bad certificate or a
 * login in `init`, and one that takes longer than `attemptDelay`, makes its
 * endpoint count as down. The same call dials the next one, and later dials pass
 * the endpoint over. When a delay is over, one dial is the probe that finds out
 * whether it is back; others that would go there wait for it, 250 ms at most, and
 * go elsewhere then. When all are down, all are tried, the one first whose turn is
 * longest ago. A dial that is aborted is no failure; one that takes longer than
 * the pool's `connectTimeout` is. The wait for `admit` does not count.
 *
 * If no endpoint can be reached, the dial rejects with an `AggregateError` whose
 * `errors` are those of the endpoints, and whose message names the place of each.
 * It is retryable if one of them is.
 *
 * A resource belongs to the connector that opened it, which checks, resets,
 * watches and closes it. Resources that are no objects can be pooled as long as no
 * two endpoints open the same one: that is a `TypeError`.
 *
 * @param connectors Connectors, or functions that open a resource. To give one
 * more weight, make it several times.
 * @returns A connector for a pool; `endpoints` has the state of each.
 * Pools that share it share that state.
 * @throws {TypeError} If a connector is none or given twice.
 * @throws {RangeError} If there is no connector.
 *
 * @example
 * ```ts
 * import { Pool, roundRobin, tcp } from "@x/sockpool";
 * import { assertEquals } from "@std/assert";
 *
 * using north = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * using south = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const servers = [north, south].map(({ addr: { port } }) => tcp({ port }));
 *
 * const connector = roundRobin(...servers);
 * await using pool = new Pool(connector);
 * await pool.warm(10);
 * assertEquals(connector.endpoints.map(({ open }) => open), [5, 5]);
 * ```
 */
export function roundRobin<T, L extends Lease<T> = Lease<T>>(
  ...connectors: readonly EndpointSource<T, L>[]
): EndpointsConnector<T, L>;

/**
 * {@linkcode roundRobin} over endpoints of different kinds, such as `tcp` and `unix`.
 *
 * @param connectors Connectors, or functions that open a resource.
 * @returns A connector for a pool, whose lease is that of either kind.
 * @throws {TypeError} If a connector is none or given twice.
 * @throws {RangeError} If there is no connector.
 */
export function roundRobin<S extends readonly EndpointSource[]>(
  ...connectors: S
): EndpointsConnector<EndpointResource<S[number]>, EndpointLease<S[number]>>;

/**
 * {@linkcode roundRobin} over a list of endpoints, with options.
 *
 * @param connectors Connectors, or functions that open a resource.
 * @param options When an endpoint is passed over.
 * @returns A connector for a pool.
 * @throws {TypeError} If a connector is none or given twice, or an option is unknown or of the wrong type.
 * @throws {RangeError} If there is no connector, or an option is out of range.
 */
export function roundRobin<T, L extends Lease<T> = Lease<T>>(
  connectors: readonly EndpointSource<T, L>[],
  options?: EndpointOptions,
): EndpointsConnector<T, L>;

/**
 * {@linkcode roundRobin} over a list of endpoints of different kinds, with options.
 *
 * @param connectors Connectors, or functions that open a resource.
 * @param options When an endpoint is passed over.
 * @returns A connector for a pool, whose lease is that of either kind.
 * @throws {TypeError} If a connector is none or given twice, or an option is unknown or of the wrong type.
 * @throws {RangeError} If there is no connector, or an option is out of range.
 */
export function roundRobin<S extends EndpointSource>(
  connectors: readonly S[],
  options?: EndpointOptions,
): EndpointsConnector<EndpointResource<S>, EndpointLease<S>>;

export function roundRobin(...given: unknown[]): unknown {
  return combine("roundRobin", leastLoaded, given);
}

/**
 * Opens everything at the first endpoint that is up, in the order in which they
 * are given. When one that comes earlier is back, new dials go there; what is
 * open elsewhere stays until it expires, or until `pool.clear()` retires it.
 *
 * When an endpoint counts as down, when it is tried again, what the error says
 * and whose a resource is: all that is as with {@linkcode roundRobin}.
 *
 * @param connectors Connectors, or functions that open a resource, the best first.
 * @returns A connector for a pool; `endpoints` has the state of each.
 * Pools that share it share that state.
 * @throws {TypeError} If a connector is none or given twice.
 * @throws {RangeError} If there is no connector.
 *
 * @example
 * ```ts
 * import { failover, Pool, tcp } from "@x/sockpool";
 * import { assertEquals } from "@std/assert";
 *
 * const primary = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * using standby = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const servers = [primary, standby].map(({ addr: { port } }) => tcp({ port }));
 * primary.close();
 *
 * await using pool = new Pool(failover(servers, { minDelay: 1_000 }));
 * using conn = await pool.acquire();
 * assertEquals(conn.remoteAddr.port, standby.addr.port);
 * ```
 */
export function failover<T, L extends Lease<T> = Lease<T>>(
  ...connectors: readonly EndpointSource<T, L>[]
): EndpointsConnector<T, L>;

/**
 * {@linkcode failover} over endpoints of different kinds, such as `unix` and `tcp`.
 *
 * @param connectors Connectors, or functions that open a resource, the best first.
 * @returns A connector for a pool, whose lease is that of either kind.
 * @throws {TypeError} If a connector is none or given twice.
 * @throws {RangeError} If there is no connector.
 */
export function failover<S extends readonly EndpointSource[]>(
  ...connectors: S
): EndpointsConnector<EndpointResource<S[number]>, EndpointLease<S[number]>>;

/**
 * {@linkcode failover} over a list of endpoints, with options.
 *
 * @param connectors Connectors, or functions that open a resource, the best first.
 * @param options When an endpoint is passed over.
 * @returns A connector for a pool.
 * @throws {TypeError} If a connector is none or given twice, or an option is unknown or of the wrong type.
 * @throws {RangeError} If there is no connector, or an option is out of range.
 */
export function failover<T, L extends Lease<T> = Lease<T>>(
  connectors: readonly EndpointSource<T, L>[],
  options?: EndpointOptions,
): EndpointsConnector<T, L>;

/**
 * {@linkcode failover} over a list of endpoints of different kinds, with options.
 *
 * @param connectors Connectors, or functions that open a resource, the best first.
 * @param options When an endpoint is passed over.
 * @returns A connector for a pool, whose lease is that of either kind.
 * @throws {TypeError} If a connector is none or given twice, or an option is unknown or of the wrong type.
 * @throws {RangeError} If there is no connector, or an option is out of range.
 */
export function failover<S extends EndpointSource>(
  connectors: readonly S[],
  options?: EndpointOptions,
): EndpointsConnector<EndpointResource<S>, EndpointLease<S>>;

export function failover(...given: unknown[]): unknown {
  return combine("failover", inOrder, given);
}

function combine(
  kind: string,
  selection: Selection,
  given: unknown[],
): EndpointsConnector<unknown, Lease<unknown>> {
  const subject = `create a ${kind} connector`;
  const [list, options = {}] = Array.isArray(given[0]) ? given : [given];
  const connectors = checkConnectors(list as unknown[], subject);
  const settings = checkSettings(options as EndpointOptions, subject);
  const group = new EndpointGroup(connectors, selection, settings);
  const connector = group.toConnector(kind);
  return {
    ...connector,
    get endpoints() {
      return group.endpoints.map(statusOf);
    },
    ...showing(() => {
      const states = group.endpoints.map(statusOf);
      const up = states.filter((state) => state.up).length;
      const open = states.reduce((sum, state) => sum + state.open, 0);
      return `Connector(${connector.place}; up ${up} of ${states.length}, open ${open})`;
    }),
  };
}

function checkConnectors(given: unknown[], subject: string): AnyConnector[] {
  if (given.length === 0) {
    throw new RangeError(`Cannot ${subject} as 'connectors' must not be empty`);
  }
  return Array.from(given, (each, index) => {
    const name = `connectors[${index}]`;
    const connector = toConnector(each as AnyConnector, subject, name);
    const first = given.indexOf(each);
    if (first === index) return connector;
    throw new TypeError(
      `Cannot ${subject} as '${name}' must be a connector of its own: ` +
        `received 'connectors[${first}]' again`,
    );
  });
}

const RULES: Record<keyof EndpointOptions, Rule> = {
  minDelay: duration,
  maxDelay: duration,
  attemptDelay: positiveDuration,
  clock: (value, name, subject) => {
    if (typeof (value as EndpointOptions["clock"] | null)?.now === "function") return;
    throw new TypeError(
      `Cannot ${subject} as '${name}' must be an object with a now() method: received ${
        shown(value)
      }`,
    );
  },
};

/** Checks the options and fills in the defaults. */
function checkSettings(given: EndpointOptions, subject: string): GroupSettings {
  checkOptions(given, RULES, subject);
  const { minDelay = 100, attemptDelay = 2_000, clock } = given;
  const { maxDelay = Math.max(5_000, minDelay) } = given;
  if (maxDelay < minDelay) {
    throw new RangeError(
      `Cannot ${subject} as 'maxDelay' must be at least 'minDelay' (${minDelay}): received ${maxDelay}`,
    );
  }
  return { minDelay, maxDelay, attemptDelay, now: clock ? steady(clock) : monotonicNow };
}

/** Wraps a clock: if it throws, returns no number or goes back, its time stands still, and dials go on. */
function steady(clock: { now(): number }): () => number {
  let last = 0;
  return () => {
    try {
      const now = clock.now();
      if (now > last) last = now;
    } catch {
      // as if no time had passed
    }
    return last;
  };
}

function statusOf({ name, breaker, load }: Endpoint): EndpointStatus {
  const { isClosed: up, error } = breaker;
  return { name, up, error, open: load.open, connecting: load.connecting };
}
