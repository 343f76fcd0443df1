/**
 * Connectors: how to open, watch and close the sockets of a pool. Each gives a
 * lease that is a `Deno.Conn`. And what makes one connector of several.
 *
 * @module
 */

export {
  type EndpointLease,
  type EndpointOptions,
  type EndpointResource,
  type EndpointsConnector,
  type EndpointSource,
  type EndpointStatus,
  failover,
  roundRobin,
} from "./endpoints.ts";
export { type ReadUntilOptions, Socket, type SocketConn, type SocketOptions } from "./socket.ts";
export type { SocketConnector } from "./_socket_connector.ts";
export { SocketLease } from "./socket_lease.ts";
export { tcp, type TcpOptions } from "./tcp.ts";
export { tls, type TlsConnector, type TlsOptions } from "./tls.ts";
export { TlsLease } from "./tls_lease.ts";
export { TlsSocket, type TlsSocketConn } from "./tls_socket.ts";
export { unix, type UnixOptions } from "./unix.ts";
export {
  webSocket,
  WebSocketConnection,
  type WebSocketConnector,
  type WebSocketConnectorOptions,
  WebSocketLease,
} from "./websocket.ts";
export {
  WebSocketClosedError,
  type WebSocketClosing,
  WebSocketConnectError,
} from "./websocket_errors.ts";
export type {
  FlushedOptions,
  ReceiveOptions,
  WebSocketDrainOptions,
  WebSocketMessage,
  WebSocketPingOptions,
} from "./websocket_messages.ts";
