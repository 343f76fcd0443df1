import { shown, typed } from "../../internal/validate.ts";
import type { RetireReason } from "../../pool/stats.ts";
import type { Connection } from "./connection.ts";
import { TimeLimit } from "./time_limit.ts";

// RFC 6455, 5.5 and 5.5.1: 125 bytes, less two for the code.
const LONGEST_REASON_BYTES = 123;

const encoder = new TextEncoder();

/** Checks the code and reason of a close frame, before anything is closed. */
export function checkClose(code: unknown, reason: unknown): void {
  const demand = "Cannot close as 'code' must be 1000 or an integer from 3000 to 4999";
  if (typeof code !== "number") throw new TypeError(`${demand}: received ${shown(code)}`);
  if (code !== 1000 && !(Number.isInteger(code) && code >= 3000 && code <= 4999)) {
    throw new RangeError(`${demand}: received ${code}`);
  }
  typed("string")(reason, "reason", "close");
  const { length } = encoder.encode(reason as string);
  if (length > LONGEST_REASON_BYTES) {
    throw new RangeError(
      `Cannot close as 'reason' must be at most ${LONGEST_REASON_BYTES} bytes: received ${length}`,
    );
  }
}

/**
 * Closes connections, and counts those whose peers do not answer the close: the
 * platform has no way to free these.
 */
export class ClosingHandshakes {
  readonly #timeout: number;
  /** The number of abandoned connections that are not closed yet. */
  lingering = 0;

  constructor(timeout: number) {
    this.#timeout = timeout;
  }

  /** Resolves when the peer has answered, or at the time limit. */
  async close(connection: Connection, reason?: RetireReason): Promise<void> {
    if (reason === "closed") connection.closeWithPool();
    else connection.close(1000, "");
    const state = await this.#wait(connection);
    if (state === "closed") return;
    this.lingering++;
    connection.closed.then(() => this.lingering--);
  }

  #wait({ closed }: Connection): Promise<"closed" | "open"> {
    return new Promise((resolve) => {
      const limit = new TimeLimit(this.#timeout, () => resolve("open"));
      limit.start();
      closed.then(() => {
        limit.stop();
        resolve("closed");
      });
    });
  }
}
