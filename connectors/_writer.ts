import { AsyncMutex } from "../internal/async_mutex.ts";
import type { StallGuard } from "./_stall_guard.ts";

/** The connection whose writing half it is. */
export interface WriterOwner {
  readonly conn: Pick<Deno.Conn, "write" | "closeWrite">;
  /** A write has failed; answers the error to be told. */
  failed(error: unknown): unknown;
}

/** The writing half of a connection. */
export class Writer {
  readonly #owner: WriterOwner;
  readonly guard: StallGuard | undefined;
  readonly #lane = new AsyncMutex();

  constructor(owner: WriterOwner, guard: StallGuard | undefined) {
    this.#owner = owner;
    this.guard = guard;
  }

  /** Whether a write has been asked for and not been done. */
  get isBusy(): boolean {
    return this.#lane.isBusy;
  }

  /** Writes some bytes; resolves to how many. */
  write(bytes: Uint8Array): Promise<number> {
    const isSimple = !this.#lane.isBusy && this.guard === undefined;
    return isSimple ? this.#writeAtOnce(bytes) : this.#writeInTurn(bytes);
  }

  async writeAll(bytes: Uint8Array): Promise<void> {
    const turn = this.#lane.enter();
    if (turn !== undefined) await turn;
    try {
      for (let sent = 0; sent < bytes.length;) {
        this.guard?.begin();
        sent += await this.#owner.conn.write(sent === 0 ? bytes : bytes.subarray(sent));
      }
    } catch (error) {
      throw this.#owner.failed(error);
    } finally {
      this.guard?.end();
      this.#lane.leave();
    }
  }

  /** Says, after all that is being written, that no more will come. */
  async close(): Promise<void> {
    const turn = this.#lane.enter();
    if (turn !== undefined) await turn;
    try {
      await this.#owner.conn.closeWrite();
    } catch (error) {
      throw this.#owner.failed(error);
    } finally {
      this.#lane.leave();
    }
  }

  /** The way of nearly all writes; not an `async` function, as in the reader. */
  #writeAtOnce(bytes: Uint8Array): Promise<number> {
    this.#lane.enter();
    return this.#owner.conn.write(bytes).then(
      (written) => {
        this.#lane.leave();
        return written;
      },
      (error) => {
        this.#lane.leave();
        throw this.#owner.failed(error);
      },
    );
  }

  async #writeInTurn(bytes: Uint8Array): Promise<number> {
    const turn = this.#lane.enter();
    if (turn !== undefined) await turn;
    this.guard?.begin();
    try {
      return await this.#owner.conn.write(bytes);
    } catch (error) {
      throw this.#owner.failed(error);
    } finally {
      this.guard?.end();
      this.#lane.leave();
    }
  }
}
