import { shown, typed } from "../internal/validate.ts";

// RFC 6455, 5.5 and 5.5.1: 125 bytes, less two for the code.
const LONGEST_REASON = 123;

const encoder = new TextEncoder();

/** Checks what is to be said in a close frame, in our own words and before anything is closed. */
export function checkClose(code: unknown, reason: unknown): void {
  const demand = "Cannot close as 'code' must be 1000 or an integer from 3000 to 4999";
  if (typeof code !== "number") throw new TypeError(`${demand}: received ${shown(code)}`);
  if (code !== 1000 && !(Number.isInteger(code) && code >= 3000 && code <= 4999)) {
    throw new RangeError(`${demand}: received ${code}`);
  }
  typed("string")(reason, "reason", "close");
  const { length } = encoder.encode(reason as string);
  if (length > LONGEST_REASON) {
    throw new RangeError(
      `Cannot close as 'reason' must be at most ${LONGEST_REASON} bytes: received ${length}`,
    );
  }
}
