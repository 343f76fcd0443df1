import { AsyncMutex } from "../../internal/async_mutex.ts";
import type { IoWatchdog } from "./io_watchdog.ts";

/** The connection whose writing half it is. */
export interface WriterOwner {
  readonly conn: Pick<Deno.Conn, "write" | "closeWrite">;
  /** A write has failed; returns the error to throw. */
  failed(error: unknown): unknown;
}

/** The writing half of a connection. */
export class Writer {
  readonly #owner: WriterOwner;
  readonly watchdog: IoWatchdog | undefined;
  readonly #mutex = new AsyncMutex();
  /** Whether bytes have been written since the last received byte. */
  isUnanswered = false;

  constructor(owner: WriterOwner, watchdog: IoWatchdog | undefined) {
    this.#owner = owner;
    this.watchdog = watchdog;
  }

  /** Whether a write is pending. */
  get isBusy(): boolean {
    return this.#mutex.isBusy;
  }

  /** Writes some bytes; resolves to how many. */
  write(bytes: Uint8Array): Promise<number> {
    const isSimple = !this.#mutex.isBusy && this.watchdog === undefined;
    return isSimple ? this.#writeAtOnce(bytes) : this.#writeInTurn(bytes);
  }

  async writeAll(bytes: Uint8Array): Promise<void> {
    const turn = this.#mutex.enter();
    if (turn !== undefined) await turn;
    try {
      for (let sent = 0; sent < bytes.length;) {
        this.watchdog?.begin();
        sent += await this.#owner.conn.write(sent === 0 ? bytes : bytes.subarray(sent));
        this.isUnanswered = true;
      }
    } catch (error) {
      throw this.#owner.failed(error);
    } finally {
      this.watchdog?.end();
      this.#mutex.leave();
    }
  }

  /** Ends the direction after all pending writes. */
  async close(): Promise<void> {
    const turn = this.#mutex.enter();
    if (turn !== undefined) await turn;
    try {
      await this.#owner.conn.closeWrite();
    } catch (error) {
      throw this.#owner.failed(error);
    } finally {
      this.#mutex.leave();
    }
  }

  /** The way of nearly all writes; not an `async` function, as in the reader. */
  #writeAtOnce(bytes: Uint8Array): Promise<number> {
    this.#mutex.enter();
    return this.#owner.conn.write(bytes).then(
      (written) => {
        this.isUnanswered = true;
        this.#mutex.leave();
        return written;
      },
      (error) => {
        this.#mutex.leave();
        throw this.#owner.failed(error);
      },
    );
  }

  async #writeInTurn(bytes: Uint8Array): Promise<number> {
    const turn = this.#mutex.enter();
    if (turn !== undefined) await turn;
    this.watchdog?.begin();
    try {
      const written = await this.#owner.conn.write(bytes);
      this.isUnanswered = true;
      return written;
    } catch (error) {
      throw this.#owner.failed(error);
    } finally {
      this.watchdog?.end();
      this.#mutex.leave();
    }
  }
}
