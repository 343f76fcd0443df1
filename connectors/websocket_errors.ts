/**
 * What goes wrong with WebSockets.
 *
 * @module
 */

import { oneLine } from "../internal/text.ts";

/** Why and how a WebSocket was closed. */
export interface WebSocketClosing {
  /** The code of the close frame; 1005 if it had none, 1006 if there was no close frame. */
  readonly code: number;
  /** What the close frame says besides; often empty. */
  readonly reason: string;
  /** Whether there was a closing handshake: the peer has said that it closes. */
  readonly wasClean: boolean;
}

// RFC 6455, 7.4.1: normal closure, going away, no status received.
const UNTROUBLED: readonly number[] = [1000, 1001, 1005];

/** The WebSocket is closed: by the peer, by its loss, or by this side. */
export class WebSocketClosedError extends Error implements WebSocketClosing {
  /** The code of the close frame; 1005 if it had none, 1006 if there was no close frame. */
  readonly code: number;
  /** What the close frame says besides; often empty. */
  readonly reason: string;
  /** Whether there was a closing handshake: the peer has said that it closes. */
  readonly wasClean: boolean;

  /** Makes the error; the connection does. */
  constructor(message: string, { code, reason, wasClean }: WebSocketClosing, cause?: unknown) {
    const said = reason === "" ? `${code}` : `${code} ${oneLine(JSON.stringify(reason))}`;
    super(`${message}: ${said}`, cause === undefined ? undefined : { cause });
    this.name = "WebSocketClosedError";
    this.code = code;
    this.reason = reason;
    this.wasClean = wasClean;
  }

  /** Whether the peer closed with no complaint: iterating over its messages just ends then. */
  get isOrderly(): boolean {
    return this.wasClean && UNTROUBLED.includes(this.code);
  }
}

/** A WebSocket could not be opened. */
export class WebSocketConnectError extends Error {
  /** Where to; without what may be secret, the query and the password. */
  readonly url: string;
  /** The HTTP status with which the server declined, if it did. */
  readonly status: number | undefined;

  /** Makes the error; the connector does. */
  constructor(url: string, message: string, status?: number, cause?: unknown) {
    super(
      `Cannot connect to ${url}: ${message}`,
      cause === undefined ? undefined : { cause },
    );
    this.name = "WebSocketConnectError";
    this.url = url;
    this.status = status;
  }
}
