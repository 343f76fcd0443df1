import { type Accept, unsolicited } from "./_errand.ts";
import type { Recipient } from "./_recipient.ts";
import type { WebSocketMessage } from "./websocket_connection.ts";

// Frames that came in one segment are told one microtask after the other. A
// borrower may go in between, and the next one come.
const LOOK_HOPS = 6;

/**
 * Watches a connection that nobody uses. The platform reads all the time, so
 * whatever comes is told without further ado, except what has been read and not
 * yet told: that comes within microtasks, for which to wait is a *look*.
 */
export class MessageWatch implements Recipient {
  readonly #accept: Accept | undefined;
  readonly #onStray: (reason: unknown) => void;
  #onLost: ((reason: unknown) => void) | undefined;
  #look: Promise<void> | undefined;

  /** `onStray` is called when the connection is lost while no watch is on, between two users. */
  constructor(accept: Accept | undefined, onStray: (reason: unknown) => void) {
    this.#accept = accept;
    this.#onStray = onStray;
  }

  /** What to await before the connection is lent, if a look is under way. */
  get look(): Promise<void> | undefined {
    return this.#look;
  }

  begin(onLost: (reason: unknown) => void): void {
    this.#onLost = onLost;
    this.#look = this.#lookAround();
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

  async #lookAround(): Promise<void> {
    for (let hop = 0; hop < LOOK_HOPS; hop++) await undefined;
    this.#look = undefined;
  }
}
