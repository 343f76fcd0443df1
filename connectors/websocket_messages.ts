/**
 * Messages of WebSockets, and what a connector does with those that come between
 * two borrowers.
 *
 * @module
 */

/** A message: a string if it was sent as text, else bytes. */
export type WebSocketMessage = string | Uint8Array<ArrayBuffer>;

/** Options of one call to receive. */
export interface ReceiveOptions {
  /** Ends the wait when it is aborted: the call rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
  /**
   * How long to wait, in milliseconds: then the call rejects with
   * `Deno.errors.TimedOut`. A busy event loop is not counted, as it is with the
   * signal of `AbortSignal.timeout()`.
   *
   * @default {Infinity}
   */
  timeout?: number | undefined;
}

/** Options of one call to flushed. */
export interface FlushedOptions {
  /** Ends the wait when it is aborted: the call rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
  /**
   * How long to wait, in milliseconds: then the call rejects with `Deno.errors.TimedOut`.
   *
   * @default {Infinity}
   */
  timeout?: number | undefined;
}

/** What becomes of messages that come after a release. Times are in milliseconds. */
export interface WebSocketDrainOptions {
  /**
   * How long a drain may take before the WebSocket is closed. The pool's
   * `checkTimeout`, 5 seconds by default, bounds it too.
   *
   * @default {2_000}
   */
  timeout?: number | undefined;
  /**
   * After a silence of this length the WebSocket is reused. Less than `timeout`,
   * and by default half of it if that is less than 200.
   *
   * @default {200}
   */
  quiet?: number | undefined;
  /** Whether a message may be dropped; one that may not closes the WebSocket. By default any may. */
  accept?: ((message: WebSocketMessage) => boolean) | undefined;
}

/** What to ask a peer that has been silent for a while, and what it must answer. */
export interface WebSocketPingOptions {
  /** What is sent: a string as text, or bytes. */
  message: string | Uint8Array;
  /** What has to come back: this message, or one for which the function returns true. */
  answer: string | Uint8Array | ((message: WebSocketMessage) => boolean);
  /**
   * How long that may take, in milliseconds. The pool's `checkTimeout` bounds it too.
   *
   * @default {2_000}
   */
  timeout?: number | undefined;
}
