import {
  Pool,
  type PoolOptions,
  webSocket,
  type WebSocketConnection,
  type WebSocketConnectorOptions,
  type WebSocketLease,
  type WebSocketMessage,
} from "../../mod.ts";
import { type Answer, WebSocketServer } from "./websocket_server.ts";

/** A pool of WebSockets. */
export type WebSocketPool = Pool<WebSocketConnection, WebSocketLease>;

/** Who takes part in a test. */
export interface Scene {
  server: WebSocketServer;
  pool: WebSocketPool;
  ws: WebSocketLease;
}

/** Runs something with a lease on a connection to a server that answers so. */
export async function withLease(
  answer: Answer,
  body: (ws: WebSocketLease, scene: Scene) => unknown,
  options: Partial<WebSocketConnectorOptions> = {},
  poolOptions: PoolOptions = {},
): Promise<void> {
  await using server = new WebSocketServer(answer);
  await using pool = new Pool(webSocket({ url: server.url, ...options }), poolOptions);
  using ws = await pool.acquire();
  await body(ws, { server, pool, ws });
}

/** Sends so many numbered messages for each that comes. */
export function counting(count: number): Answer {
  return ({ socket }) => {
    for (let i = 0; i < count; i++) socket.send(`${i}`);
  };
}

/** Closes with that when something comes. */
export function closing(code?: number, reason?: string): Answer {
  return ({ socket }) => socket.close(code, reason);
}

/** All messages, until the iteration ends. */
export async function gather(
  messages: AsyncIterable<WebSocketMessage>,
): Promise<WebSocketMessage[]> {
  const gathered: WebSocketMessage[] = [];
  for await (const message of messages) gathered.push(message);
  return gathered;
}

/** The next so many messages. */
export async function receiveAll(ws: WebSocketLease, count: number): Promise<WebSocketMessage[]> {
  const received: WebSocketMessage[] = [];
  while (received.length < count) received.push(await ws.receive());
  return received;
}

/** What {@linkcode counting} sends. */
export const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i}`);
