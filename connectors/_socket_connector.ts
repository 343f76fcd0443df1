import type { ConnectContext, Connector } from "../pool/connector.ts";
import type { Lease, LeaseSlot } from "../pool/lease.ts";
import type { Socket } from "./socket.ts";
import type { SocketLease } from "./socket_lease.ts";

/** A connector whose resources are sockets and whose leases are `Deno.Conn`s. */
export type SocketConnector<A extends Deno.Addr = Deno.Addr> = Connector<Socket<A>, SocketLease<A>>;

/** Makes a connector of a way to open a socket, of the class of its leases, and of what errors call it. */
export function socketConnector<S extends Socket<Deno.Addr>, L extends Lease<S>>(
  connect: (context: ConnectContext) => Promise<S>,
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

/** What errors call an address of host and port. */
export function nameOf(scheme: string, hostname: string, port: number): string {
  return `${scheme}://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

/** Whether trying again can't help: no permission, a bad certificate, bad arguments. */
export function isFinal(error: unknown): boolean {
  return error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotCapable ||
    error instanceof Deno.errors.InvalidData ||
    error instanceof TypeError ||
    error instanceof RangeError;
}
