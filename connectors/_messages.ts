import type { WebSocketMessage } from "./websocket_connection.ts";
import { WebSocketClosedError } from "./websocket_errors.ts";

/** The messages that `receive` gives, until the peer closes with no complaint. */
export async function* messagesOf(
  receive: () => Promise<WebSocketMessage>,
): AsyncGenerator<WebSocketMessage, void, void> {
  while (true) {
    let message: WebSocketMessage;
    try {
      message = await receive();
    } catch (error) {
      if (error instanceof WebSocketClosedError && error.isOrderly) return;
      throw error;
    }
    yield message;
  }
}
