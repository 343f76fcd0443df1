/**
 * WebSockets.
 *
 * @module
 */

import type { ConnectContext, Connector } from "../pool/connector.ts";
import { ClosingHandshakes } from "./_closing_handshakes.ts";
import { isFinal } from "./_socket_connector.ts";
import { dial, isPassing, placeOf } from "./_websocket_dial.ts";
import type { WebSocketConnection } from "./websocket_connection.ts";
import { WebSocketConnectError } from "./websocket_errors.ts";
import { WebSocketLease } from "./websocket_lease.ts";
import { resolveWebSocketOptions, type WebSocketConnectorOptions } from "./websocket_options.ts";

/** A connector whose resources are WebSockets. */
export type WebSocketConnector = Connector<WebSocketConnection, WebSocketLease>;

/**
 * Connects to a WebSocket server. The lease sends and receives whole messages:
 * {@linkcode WebSocketLease}.
 *
 * An idle WebSocket is watched: when the peer closes it, or sends what nobody
 * asked for and `drain` does not accept, it is closed at once and its slot free.
 * With `drain` each released WebSocket is drained in the background before it is
 * reused; it counts as `preparing` meanwhile.
 *
 * Two limits are Deno's own. An open WebSocket keeps the process alive, idle or
 * not: close the pool, or wait for `idleTimeout`. And one whose peer does not
 * answer the close can't be got rid of before the peer ends the connection: it
 * is counted as `lingering`, and keeps the process alive as well.
 *
 * Needs the permission `--allow-net` for the host.
 *
 * @param options Where to, and how.
 * @returns A connector for a pool.
 * @throws {TypeError} If an option is missing, unknown or of the wrong type.
 * @throws {RangeError} If an option is out of range.
 *
 * @example
 * ```ts
 * import { Pool, webSocket } from "@x/sockpool";
 *
 * await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
 *   const { socket, response } = Deno.upgradeWebSocket(request);
 *   socket.onmessage = ({ data }) => socket.send(`echo ${data}`);
 *   return response;
 * });
 *
 * await using pool = new Pool(webSocket({ url: `ws://127.0.0.1:${server.addr.port}` }), { maxSize: 5 });
 * const reply = await pool.use(async (ws) => {
 *   ws.send("hello");
 *   return await ws.receive({ signal: AbortSignal.timeout(1_000) });
 * });
 * console.log(reply); // echo hello
 * ```
 */
export function webSocket(options: WebSocketConnectorOptions): WebSocketConnector {
  const plan = resolveWebSocketOptions(options);
  const { url, init, onOpen, maxLingering } = plan;
  const { drain, ping } = plan.connection;
  const closings = new ClosingHandshakes(plan.closeTimeout);

  async function connect(context: ConnectContext): Promise<WebSocketConnection> {
    if (closings.lingering >= maxLingering) throw tooManyLinger(url, closings.lingering);
    const connection = await dial(url, init, plan.connection, context.signal);
    if (onOpen !== undefined) await greet(connection, context);
    return connection;
  }

  /** The function may heed no signal: then the dial is over all the same. */
  async function greet(connection: WebSocketConnection, context: ConnectContext): Promise<void> {
    const { signal } = context;
    let giveUp = () => {};
    const aborted = new Promise<never>((_resolve, reject) => {
      giveUp = () => reject(signal.reason);
    });
    signal.addEventListener("abort", giveUp);
    try {
      await Promise.race([onOpen!(connection, context), aborted]);
      signal.throwIfAborted();
    } catch (error) {
      closings.close(connection);
      throw error;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  return {
    place: placeOf(url),
    connect,
    close: (connection) => closings.close(connection),
    isBroken: (connection) => connection.isBroken,
    isStale: (connection) => connection.isStale,
    isRetryable: (error) =>
      error instanceof WebSocketConnectError ? isPassing(error) : !isFinal(error),
    lease: (slot) => {
      slot.resource.lend();
      return new WebSocketLease(slot);
    },
    watch: (connection, { lost }) => connection.watch(lost),
    probe: (connection) => connection.settle(),
    unwatch: (connection) => connection.unwatch(),
    lingering: () => closings.lingering,
    ...(drain && { reset: (connection, { signal }) => connection.drain(signal) }),
    ...(ping && {
      check: async (connection, { signal }) => {
        await connection.ping(signal);
        return true;
      },
    }),
  };
}

function tooManyLinger(url: URL, count: number): Error {
  return new Deno.errors.Busy(
    `Cannot connect to ${placeOf(url)} as ${count} closed WebSockets still hold their sockets: ` +
      "the peer does not answer the close",
  );
}
