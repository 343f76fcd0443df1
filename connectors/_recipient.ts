import type { WebSocketMessage } from "./websocket_connection.ts";

/** Whoever gets the messages of a connection at the moment, and learns of its end. */
export interface Recipient {
  take(message: WebSocketMessage): void;
  ended(error: Error): void;
}
