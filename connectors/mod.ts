/**
 * Connectors: how to open, watch and close the sockets of a pool, with leases that are
 * `Deno.Conn`s; and connectors over several others.
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
