import { errorText, oneLine } from "../../internal/text.ts";
import { dialError, SOCKET_ERRORS } from "../_dial_error.ts";
import { WebSocketClosedError, WebSocketConnectError } from "../websocket_errors.ts";
import { Connection, type ConnectionPlan } from "./connection.ts";
import { placeOf, type Target } from "./target.ts";

// The prefix of the platform's errors, and its wording of a status.
const PREFIX = /^NetworkError: failed to connect to WebSocket: /;
const STATUS = /Invalid status code: (\d{3})/;

// The statuses below 500 that are temporary.
const PASSING_STATUSES: readonly number[] = [408, 425, 429];

const NOT_OFFERED = "the server chose a sub-protocol that was not offered";
const NONE_CHOSEN = "the server chose none of the sub-protocols that were offered";

// The peer does not speak TLS, or speaks it where HTTP is expected, or has no valid certificate.
const FINAL_REASONS: readonly string[] = [
  "invalid peer certificate",
  "received corrupt message",
  "received unexpected handshake message",
  "invalid HTTP version parsed",
  NOT_OFFERED,
  NONE_CHOSEN,
];

/** Opens a WebSocket. The platform has no signal for that, but closing a connecting WebSocket ends the dial. */
export function dial(
  { url, init }: Target,
  plan: ConnectionPlan,
  signal: AbortSignal,
): Promise<Connection> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = open(url, init);
    socket.binaryType = "arraybuffer";
    let lastError: unknown;
    const abort = () => socket.close();
    const finish = () => {
      signal.removeEventListener("abort", abort);
      socket.onopen = socket.onerror = socket.onclose = null;
    };
    signal.addEventListener("abort", abort);
    socket.onerror = (event) => lastError = (event as ErrorEvent).error;
    socket.onclose = () => {
      finish();
      reject(signal.aborted ? signal.reason : connectError(url, lastError));
    };
    // In this very turn: the first message may come in the next.
    socket.onopen = () => {
      finish();
      resolve(new Connection(socket, plan));
    };
  });
}

/** Why the sub-protocol that the server has chosen is refused, if it is. */
export function protocolError(
  { url, init }: Target,
  chosen: string,
  isRequired: boolean,
): WebSocketConnectError | undefined {
  const offered = [init.protocols ?? []].flat();
  if (chosen === "") {
    if (offered.length === 0 || !isRequired) return undefined;
    return new WebSocketConnectError(placeOf(url), `${NONE_CHOSEN}: ${offered.join(", ")}`);
  }
  if (offered.includes(chosen)) return undefined;
  const message = `${NOT_OFFERED}: ${oneLine(JSON.stringify(chosen))}`;
  return new WebSocketConnectError(placeOf(url), message);
}

/** The error of an `init` with its place, of the same class. The signal's reason, and a user's own error, stay as they are. */
export function initError(error: unknown, place: string, signal: AbortSignal): unknown {
  if (signal.aborted && error === signal.reason) return error;
  if (!(error instanceof WebSocketClosedError)) return dialError(error, place, SOCKET_ERRORS);
  const named = new WebSocketClosedError("", error, error);
  named.message = `${error.message}, connecting to ${place}`;
  return named;
}

/** Whether a dial with this error may be retried. */
export function isPassing({ status, message }: WebSocketConnectError): boolean {
  if (status === undefined) return !FINAL_REASONS.some((reason) => message.includes(reason));
  return status >= 500 || PASSING_STATUSES.includes(status);
}

function open(url: URL, init: WebSocketOptions): WebSocket {
  try {
    return new WebSocket(url, init);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotCapable)) throw connectError(url, cause);
    throw new Deno.errors.NotCapable(`Cannot connect to ${placeOf(url)}: ${cause.message}`, {
      cause,
    });
  }
}

function connectError(url: URL, cause: unknown): WebSocketConnectError {
  const text = errorText(cause).replace(PREFIX, "");
  const status = STATUS.exec(text)?.[1];
  if (status === undefined) return new WebSocketConnectError(placeOf(url), text, undefined, cause);
  const message = `the server answered with status ${status} instead of 101`;
  return new WebSocketConnectError(placeOf(url), message, Number(status), cause);
}
