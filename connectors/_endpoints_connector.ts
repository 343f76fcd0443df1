import type { Connector } from "../pool/connector.ts";
import type { Lease } from "../pool/lease.ts";
import type { AnyConnector, Endpoint } from "./_endpoint.ts";
import type { EndpointGroup } from "./_endpoint_group.ts";
import { isFinal } from "./_unreachable.ts";

/** A connector that stands for several. */
export interface EndpointsConnector<T, L extends Lease<T> = Lease<T>> extends Connector<T, L> {
  /** How each of them stands at this moment, in the order in which they were given. */
  readonly endpoints: readonly EndpointStatus[];
}

/** How one of several endpoints stands. */
export interface EndpointStatus {
  /** The connector's name, or `connectors[0]` for the first if it has none. */
  readonly name: string;
  /** Whether it is dialled like any other: not if the last dial failed, or took too long. */
  readonly isUp: boolean;
  /** Why it is not up. */
  readonly error: unknown;
  /** How many of its resources are open. */
  readonly open: number;
  /** How many of its dials are in flight. */
  readonly connecting: number;
}

/**
 * The connector that stands for a group. Each resource is the business of the
 * one that has opened it; a method that none of them has the pool need not call.
 */
export function connectorOf(
  group: EndpointGroup,
  kind: string,
): EndpointsConnector<unknown, Lease<unknown>> {
  return {
    place: `${kind}(${group.endpoints.map(({ name }) => name).join(", ")})`,
    get endpoints() {
      return group.endpoints.map(statusOf);
    },
    connect: (context) => group.connect(context),
    close: (resource, reason) => group.close(resource, reason),
    isRetryable: (error) => !isFinal(error),
    lease: (slot) => group.lease(slot),
    ...sharedMethods(group),
  };
}

/** Those that are there if one of the connectors has them; what its others have not is as if nothing were the matter. */
function sharedMethods(group: EndpointGroup): Partial<AnyConnector> {
  const of = (resource: unknown) => group.connectorOf(resource);
  const methods: Partial<AnyConnector> = {
    check: (resource, context) => {
      const connector = of(resource);
      return connector.check === undefined || connector.check(resource, context);
    },
    reset: (resource, context) => of(resource).reset?.(resource, context),
    isBroken: (resource) => of(resource).isBroken?.(resource) ?? false,
    isStale: (resource, error) => of(resource).isStale?.(resource, error) ?? false,
    watch: (resource, context) => of(resource).watch?.(resource, context),
    probe: (resource, options) => of(resource).probe?.(resource, options),
    lingering: () => group.lingering,
    unwatch: (resource) => of(resource).unwatch?.(resource),
  };
  const shared = Object.entries(methods).filter(([name]) => group.has(name as keyof AnyConnector));
  return Object.fromEntries(shared);
}

function statusOf({ name, health, load }: Endpoint): EndpointStatus {
  const { isUp, error } = health;
  return { name, isUp, error, open: load.open, connecting: load.connecting };
}
