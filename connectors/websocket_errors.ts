/**
 * The errors of WebSockets.
 *
 * @module
 */

import { oneLine } from "../internal/text.ts";

/** Why and how a WebSocket was closed. */
export interface WebSocketClosing {
  /** The code of the close frame; 1005 if it had none, 1006 if there was no close frame. */
  readonly code: number;
  /** The reason in the close frame; often empty. */
  readonly reason: string;
  /** Whether there was a closing handshake: the peer has said that it closes. */
  readonly wasClean: boolean;
}

// RFC 6455, 7.4.1: normal closure, going away, no status received.
const ORDERLY_CODES: readonly number[] = [1000, 1001, 1005];

/**
 * The WebSocket is closed: by the peer, by its loss, or by this side. The message
 * says by which, and also if it was because the pool was closed.
 *
 * @example
 * ```ts
 * import { WebSocketClosedError, type WebSocketLease } from "@x/sockpool";
 *
 * async function ask(ws: WebSocketLease, question: string): Promise<string> {
 *   try {
 *     ws.send(question);
 *     return String(await ws.receive({ timeout: 1_000 }));
 *   } catch (error) {
 *     if (error instanceof WebSocketClosedError) console.log(error.code, error.reason);
 *     throw error;
 *   }
 * }
 * console.log(typeof ask); // function
 * ```
 */
export class WebSocketClosedError extends Error implements WebSocketClosing {
  /** The code of the close frame; 1005 if it had none, 1006 if there was no close frame. */
  readonly code: number;
  /** The reason in the close frame; often empty. */
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

  /** Whether the peer closed in order: an iteration over its messages then ends without an error. */
  get isOrderly(): boolean {
    return this.wasClean && ORDERLY_CODES.includes(this.code);
  }
}

/**
 * A WebSocket could not be opened. The message says where to, without what may be
 * secret, and why.
 *
 * @example
 * ```ts
 * import { Pool, webSocket, WebSocketConnectError } from "@x/sockpool";
 *
 * await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
 *   return new Response("who are you?", { status: 401 });
 * });
 *
 * await using pool = new Pool(webSocket({ url: `ws://127.0.0.1:${server.addr.port}/?token=1` }));
 * try {
 *   using _ws = await pool.acquire();
 * } catch (error) {
 *   if (error instanceof WebSocketConnectError) console.log(error.status); // 401
 * }
 * ```
 */
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
