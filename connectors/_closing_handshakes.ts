import { LONGEST_DELAY } from "../internal/timer.ts";
import type { WebSocketConnection } from "./websocket_connection.ts";

/**
 * Closes connections, and counts those whose peers do not answer: the platform
 * has no way to be rid of such a one.
 */
export class ClosingHandshakes {
  readonly #timeout: number;
  /** How many are left that have been given up. */
  lingering = 0;

  constructor(timeout: number) {
    this.#timeout = timeout;
  }

  /** Resolves when the peer has answered, or has had its time. */
  async close(connection: WebSocketConnection): Promise<void> {
    connection.close();
    const state = await this.#wait(connection);
    if (state === "closed") return;
    this.lingering++;
    connection.closed.then(() => this.lingering--);
  }

  #wait({ closed }: WebSocketConnection): Promise<"closed" | "open"> {
    return new Promise((resolve) => {
      const delay = Math.min(this.#timeout, LONGEST_DELAY);
      const timer = setTimeout(() => resolve("open"), delay);
      closed.then(() => {
        clearTimeout(timer);
        resolve("closed");
      });
    });
  }
}
