import { type Accept, Errand } from "./_errand.ts";
import { IoWatchdog } from "./socket/io_watchdog.ts";
import type { WebSocketMessage } from "./websocket_connection.ts";

/** How a connection is drained, all said. */
export interface DrainPlan {
  readonly timeout: number;
  readonly quiet: number;
  readonly accept: Accept;
}

/** Drops what still comes for somebody who has gone, until nothing does for a while. */
export class Drain extends Errand {
  readonly #accept: Accept;
  readonly #silence: IoWatchdog;

  constructor({ timeout, quiet, accept }: DrainPlan, signal: AbortSignal) {
    super(timeout, `The peer was not quiet for ${quiet} ms within ${timeout} ms`, signal);
    this.#accept = accept;
    this.#silence = new IoWatchdog(quiet, () => this.finish());
    this.#silence.begin();
  }

  protected override welcomes(message: WebSocketMessage): boolean {
    this.#silence.begin();
    return this.#accept(message);
  }

  protected override rest(): void {
    super.rest();
    this.#silence.rest();
  }
}
