/**
 * Several endpoints behind one connector.
 *
 * @module
 */

import { type Connector, type ConnectorContext, toConnector } from "../pool/connector.ts";
import type { Lease } from "../pool/lease.ts";
import { inOrder, leastLoaded, type Preference } from "./_choice.ts";
import type { AnyConnector } from "./_endpoint.ts";
import { EndpointGroup } from "./_endpoint_group.ts";
import { type EndpointOptions, resolveEndpointOptions } from "./_endpoint_options.ts";
import { connectorOf, type EndpointsConnector } from "./_endpoints_connector.ts";

/** What can be an endpoint: whatever a pool can be made of, a connector or a function that opens a resource. */
export type EndpointSource<T = unknown, L extends Lease<T> = Lease<T>> =
  | Connector<T, L>
  | ((context: ConnectorContext) => T | PromiseLike<T>);

/** The resource that an endpoint opens. */
export type EndpointResource<S> = S extends { connect(context: ConnectorContext): infer R }
  ? Awaited<R>
  : S extends (context: ConnectorContext) => infer R ? Awaited<R>
  : never;

/** The lease on what an endpoint opens. */
export type EndpointLease<S> = S extends { lease?(slot: infer _Slot): infer L }
  ? L extends Lease<EndpointResource<S>> ? L : Lease<EndpointResource<S>>
  : Lease<EndpointResource<S>>;

/** The ways to call {@linkcode roundRobin} and {@linkcode failover}. */
export interface CombineEndpoints {
  /** Of endpoints of one kind. */
  <T, L extends Lease<T> = Lease<T>>(
    ...connectors: readonly EndpointSource<T, L>[]
  ): EndpointsConnector<T, L>;

  /** Of endpoints of different kinds, such as `tcp` and `unix`. */
  <S extends readonly EndpointSource[]>(
    ...connectors: S
  ): EndpointsConnector<EndpointResource<S[number]>, EndpointLease<S[number]>>;

  /** Of a list of endpoints of one kind, and with options. */
  <T, L extends Lease<T> = Lease<T>>(
    connectors: readonly EndpointSource<T, L>[],
    options?: EndpointOptions,
  ): EndpointsConnector<T, L>;

  /** Of a list of endpoints of different kinds, and with options. */
  <S extends EndpointSource>(
    connectors: readonly S[],
    options?: EndpointOptions,
  ): EndpointsConnector<EndpointResource<S>, EndpointLease<S>>;
}

/**
 * Spreads what a pool opens evenly over several endpoints. The next dial goes
 * to the one with the fewest resources open and dials in flight; of equals, to
 * the one whose turn is longest ago. So the spread stays even when resources are
 * closed, and one that was down catches up, where a mere turn would not.
 *
 * Whatever fails, a bad certificate as well as a refused connection, and
 * whatever does not answer within `attemptDelay`, makes its endpoint count as
 * down: the next dials pass it over, until a first one of them finds out after a
 * delay whether it is back. Those that would go there too wait for that probe,
 * 250 ms at most; then they go elsewhere, and the probe's own caller has another
 * endpoint dialled beside it. When all are down, all are
 * tried, the one first whose turn is longest ago. What a caller gives up is no
 * failure; what takes longer than the pool's `connectTimeout` is.
 *
 * If no endpoint can be reached, the dial rejects with an `AggregateError` whose
 * `errors` are those of the endpoints, and whose message names each. The pool
 * may try again if that can help with one of them.
 *
 * A resource belongs to the connector that opened it, which checks, resets,
 * watches and closes it. Those that are no objects can be pooled as long as no
 * two endpoints open the same one: that is a `TypeError`.
 *
 * @param connectors Connectors, or functions that open a resource. To give one
 * more weight, make it several times. Or an array of them, and options.
 * @returns A connector for a pool; `endpoints` tells how each of them stands.
 * Pools that share it share what it knows.
 * @throws {TypeError} If a connector is none or given twice, or an option is unknown or of the wrong type.
 * @throws {RangeError} If there is no connector, or an option is out of range.
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
export const roundRobin: CombineEndpoints = combination("roundRobin", leastLoaded);

/**
 * Opens everything at the first endpoint that is up, in the order in which they
 * are given. When one that comes earlier is back, new dials go there; what is
 * open elsewhere stays until it expires, or until `pool.clear()` retires it.
 *
 * When an endpoint counts as down, when it is tried again, what the error says
 * and whose a resource is: all that is as with {@linkcode roundRobin}.
 *
 * @param connectors Connectors, or functions that open a resource, the best
 * first. Or an array of them, and options.
 * @returns A connector for a pool; `endpoints` tells how each of them stands.
 * Pools that share it share what it knows.
 * @throws {TypeError} If a connector is none or given twice, or an option is unknown or of the wrong type.
 * @throws {RangeError} If there is no connector, or an option is out of range.
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
export const failover: CombineEndpoints = combination("failover", inOrder);

function combination(kind: string, prefer: Preference): CombineEndpoints {
  const subject = `create a ${kind} connector`;
  const combine = (...given: unknown[]) => {
    const [list, options = {}] = Array.isArray(given[0]) ? given : [given];
    const connectors = checkConnectors(list as unknown[], subject);
    const resolved = resolveEndpointOptions(options as EndpointOptions, subject);
    return connectorOf(new EndpointGroup(connectors, prefer, resolved), kind);
  };
  return combine as CombineEndpoints;
}

function checkConnectors(given: unknown[], subject: string): AnyConnector[] {
  if (given.length === 0) {
    throw new RangeError(`Cannot ${subject} as 'connectors' must not be empty`);
  }
  return given.map((each, index) => {
    const name = `connectors[${index}]`;
    const first = given.indexOf(each);
    if (first === index) return toConnector(each as AnyConnector, subject, name);
    throw new TypeError(
      `Cannot ${subject} as '${name}' must be a connector of its own: ` +
        `received 'connectors[${first}]' again`,
    );
  });
}
