import { answerOf } from "../internal/promise_like.ts";
import { showing } from "../internal/text.ts";
import type { ConnectContext, Connector } from "../pool/connector.ts";
import type { Lease, LeaseSlot } from "../pool/lease.ts";
import { isFinal } from "./_dial_error.ts";
import { connectionOf, type Socket, type SocketConnectorOptions } from "./socket.ts";
import { naming } from "./socket/tcp_dialer.ts";

/** The parts of a connector of sockets. */
export interface SocketConnectorParts<Fresh, S, L, State> {
  readonly place: string;
  readonly options: SocketConnectorOptions<Fresh, S, State>;
  readonly LeaseType: new (slot: LeaseSlot<S>) => L;
  /** Opens a socket; `place` is where this dial went to. */
  connect(context: ConnectContext): Promise<{ socket: S; place: string }>;
}

/** Creates a connector from a function that opens a socket, the class of its leases, and its options. */
export function socketConnector<
  Fresh,
  S extends Socket<Deno.Addr, State>,
  L extends Lease<S>,
  State,
>(
  { place, options, LeaseType, connect }: SocketConnectorParts<Fresh, S, L, State>,
): Connector<S, L> {
  const { init, accept, isFatal, isRetryable } = options;
  /** For the errors of `init`. */
  const places = new WeakMap<S, string>();
  const connector: Connector<S, L> = {
    place,
    connect: async (context) => {
      const { socket, place } = await connect(context);
      if (init !== undefined) places.set(socket, place);
      const connection = connectionOf(socket);
      connection.poolClosed = context.closed;
      if (accept !== undefined) {
        connection.accept = (signal) => accept.call(options, socket, { signal });
      }
      return socket;
    },
    close: (socket, reason) => {
      const connection = connectionOf(socket);
      return connection.close(reason === "closed" ? connection.poolClosed?.reason : undefined);
    },
    isBroken: (socket) => connectionOf(socket).isBroken,
    isStale: (socket) => connectionOf(socket).isStale,
    isRetryable: (error) => {
      if (isFinal(error)) return false;
      return isRetryable === undefined ||
        answerOf(isRetryable.call(options, error), "isRetryable");
    },
    lease: (slot) => new LeaseType(slot),
    watch: (socket, context) => connectionOf(socket).beginWatch(context),
    probe: (socket, { wait, rested }) => connectionOf(socket).watch.probe(wait, rested),
    unwatch: (socket) => connectionOf(socket).watch.end(),
    ...showing(() => `Connector(${place})`),
  };
  if (init !== undefined) {
    connector.init = (socket, context) =>
      naming(places.get(socket) ?? place, context.signal, async () => {
        const connection = connectionOf(socket);
        connection.state = await init.call(options, socket as unknown as Fresh, context);
        connection.assertFit("init");
      });
  }
  if (accept !== undefined) {
    connector.reset = (socket, { signal }) => {
      const connection = connectionOf(socket);
      if (connection.reader.unread > 0) return connection.acceptBytes(signal);
    };
  }
  if (isFatal !== undefined) {
    connector.isFatal = (error, socket) =>
      answerOf(isFatal.call(options, error, socket), "isFatal") !== false;
  }
  return connector;
}
