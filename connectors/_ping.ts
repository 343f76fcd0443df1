import { type Accept, Errand } from "./_errand.ts";
import type { WebSocketMessage } from "./websocket_connection.ts";

/** How a peer is asked whether it lives, all said. */
export interface PingPlan {
  readonly message: WebSocketMessage;
  readonly timeout: number;
  readonly isAnswer: (message: WebSocketMessage) => boolean;
}

/** Waits for the answer to a ping. What comes before it must be such as may be dropped. */
export class Ping extends Errand {
  readonly #isAnswer: (message: WebSocketMessage) => boolean;
  readonly #accept: Accept | undefined;

  constructor({ timeout, isAnswer }: PingPlan, accept: Accept | undefined, signal: AbortSignal) {
    super(timeout, `The ping was not answered within ${timeout} ms`, signal);
    this.#isAnswer = isAnswer;
    this.#accept = accept;
  }

  protected override welcomes(message: WebSocketMessage): boolean {
    if (!this.#isAnswer(message)) return this.#accept?.(message) ?? false;
    this.finish();
    return true;
  }
}
