/**
 * Connectors: how to open, watch and close the sockets of a pool. Each gives a
 * lease that is a `Deno.Conn`. And what makes one connector of several.
 *
 * @module
 */

export {
  type CombineEndpoints,
  type EndpointLease,
  type EndpointResource,
  type EndpointSource,
  failover,
  roundRobin,
} from "./endpoints.ts";
export type { EndpointOptions } from "./_endpoint_options.ts";
export type { EndpointsConnector, EndpointStatus } from "./_endpoints_connector.ts";
export {
  type OptionSource,
  type ReadOptions,
  type ReadUntilOptions,
  Socket,
  type SocketConn,
  type SocketConnector,
  type SocketConnectorOptions,
  SocketLease,
  type SocketOptions,
} from "./socket.ts";
export { tcp, type TcpDialOptions, type TcpOptions } from "./tcp.ts";
export {
  tls,
  type TlsConnector,
  type TlsDialOptions,
  TlsLease,
  type TlsOptions,
  TlsSocket,
  type TlsSocketConn,
} from "./tls.ts";
export { unix, type UnixOptions } from "./unix.ts";
export { webSocket, type WebSocketConnector } from "./websocket.ts";
export {
  type ReceiveOptions,
  WebSocketConnection,
  type WebSocketMessage,
} from "./websocket_connection.ts";
export {
  WebSocketClosedError,
  type WebSocketClosing,
  WebSocketConnectError,
} from "./websocket_errors.ts";
export { WebSocketLease } from "./websocket_lease.ts";
export type {
  WebSocketConnectorOptions,
  WebSocketDrainOptions,
  WebSocketPingOptions,
} from "./websocket_options.ts";
