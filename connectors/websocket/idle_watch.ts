import type { WebSocketMessage } from "../websocket_messages.ts";
import { type Accept, unsolicited } from "./exchange.ts";
import type { MessageHandler } from "./message_queue.ts";

// Frames of one segment are reported one microtask after the other. A lease may end in
// between, and the next one begin.
const PROBE_MICROTASKS = 6;

/**
 * Watches an idle connection. The platform reads all the time, and reports messages and
 * the end as they come. Only events that were read and not yet reported come later: within
 * microtasks, for which a probe waits.
 */
export class IdleWatch implements MessageHandler {
  readonly #accept: Accept | undefined;
  readonly #onStray: (reason: unknown) => void;
  #onLost: ((reason: unknown) => void) | undefined;
  #settling: Promise<void> | undefined;

  /** `onStray` is called when the connection is lost between two borrowers while it is not watched. */
  constructor(accept: Accept | undefined, onStray: (reason: unknown) => void) {
    this.#accept = accept;
    this.#onStray = onStray;
  }

  /** The promise to await before the connection is lent soon after the watch began. */
  get settling(): Promise<void> | undefined {
    return this.#settling;
  }

  begin(onLost: (reason: unknown) => void): void {
    this.#onLost = onLost;
    this.#settling = this.#settle();
  }

  end(): void {
    this.#onLost = undefined;
  }

  take(message: WebSocketMessage): void {
    try {
      if (!this.#accept?.(message)) this.#lose(unsolicited());
    } catch (error) {
      this.#lose(error);
    }
  }

  ended(error: Error): void {
    this.#lose(error);
  }

  #lose(reason: unknown): void {
    const tell = this.#onLost ?? this.#onStray;
    this.#onLost = undefined;
    tell(reason);
  }

  async #settle(): Promise<void> {
    for (let hop = 0; hop < PROBE_MICROTASKS; hop++) await undefined;
    this.#settling = undefined;
  }
}
