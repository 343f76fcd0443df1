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

/** The parts of a test. */
export interface Scene {
  server: WebSocketServer;
  pool: WebSocketPool;
  ws: WebSocketLease;
}

/** Runs a function with a lease on a connection to a server with this behaviour. */
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

/** Sends `count` numbered messages for each received one. */
export function counting(count: number): Answer {
  return ({ socket }) => {
    for (let i = 0; i < count; i++) socket.send(`${i}`);
  };
}

/** Closes with this code and reason at the first message. */
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

/** The next `count` messages. */
export async function receiveAll(ws: WebSocketLease, count: number): Promise<WebSocketMessage[]> {
  const received: WebSocketMessage[] = [];
  while (received.length < count) received.push(await ws.receive());
  return received;
}

/** The messages of {@linkcode counting}. */
export const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i}`);
