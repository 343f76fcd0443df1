import type { Connector, ConnectorContext } from "../pool/connector.ts";
import type { Lease, LeaseSlot } from "../pool/lease.ts";
import { isFinal } from "./_dial_error.ts";
import type { Socket } from "./socket.ts";

/** Makes a connector of a way to open a socket, of the class of its leases, and of what errors call it. */
export function socketConnector<S extends Socket<Deno.Addr>, L extends Lease<S>>(
  connect: (context: ConnectorContext) => Promise<S>,
  LeaseType: new (slot: LeaseSlot<S>) => L,
  place: string,
): Connector<S, L> {
  return {
    place,
    connect,
    close: (socket) => socket.close(),
    isBroken: (socket) => socket.isBroken,
    isStale: (socket) => socket.isStale,
    isRetryable: (error) => !isFinal(error),
    lease: (slot) => {
      slot.resource.lend();
      return new LeaseType(slot);
    },
    watch: (socket, { lost, wanted }) => socket.watch(lost, wanted),
    probe: (socket, { wait, rested }) => socket.settle(!wait, rested),
    unwatch: (socket) => socket.unwatch(),
  };
}
