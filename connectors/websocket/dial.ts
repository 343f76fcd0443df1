import { WebSocketConnectError } from "../websocket_errors.ts";
import { Connection, type ConnectionPlan } from "./connection.ts";

// What the platform puts before the reason that it knows, and how it tells a status.
const PREFIX = /^NetworkError: failed to connect to WebSocket: /;
const STATUS = /Invalid status code: (\d{3})/;

// The statuses below 500 that may be over soon.
const PASSING_STATUSES: readonly number[] = [408, 425, 429];

/** Where a connection goes to, without what may be secret. */
export function placeOf({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`;
}

/** Opens a WebSocket. The platform knows no signal, but to close one that is still connecting ends the dial. */
export function dial(
  url: URL,
  init: WebSocketOptions,
  plan: ConnectionPlan,
  signal: AbortSignal,
): Promise<Connection> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = new WebSocket(url, init);
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

/** Whether a dial that failed so may be tried again: not if another try would end in the same way. */
export function isPassing({ status, message }: WebSocketConnectError): boolean {
  if (status === undefined) return !message.includes("invalid peer certificate");
  return status >= 500 || PASSING_STATUSES.includes(status);
}

function connectError(url: URL, cause: unknown): WebSocketConnectError {
  const text = String(cause).replace(PREFIX, "");
  const status = STATUS.exec(text)?.[1];
  if (status === undefined) return new WebSocketConnectError(placeOf(url), text, undefined, cause);
  const message = `the server answered with status ${status} instead of 101`;
  return new WebSocketConnectError(placeOf(url), message, Number(status), cause);
}
