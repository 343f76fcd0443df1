import { Lane } from "./_lane.ts";
import type { StallGuard } from "./_stall_guard.ts";

/** The writing half of a socket. */
export class Writer {
  readonly #conn: Pick<Deno.Conn, "write" | "closeWrite">;
  readonly #onFailure: (error: unknown) => unknown;
  readonly #guard: StallGuard | undefined;
  readonly #lane = new Lane();

  /** `onFailure` is told of an error, and answers the one to be told. */
  constructor(
    conn: Pick<Deno.Conn, "write" | "closeWrite">,
    onFailure: (error: unknown) => unknown,
    guard: StallGuard | undefined,
  ) {
    this.#conn = conn;
    this.#onFailure = onFailure;
    this.#guard = guard;
  }

  /** Whether a write has been asked for and not been done. */
  get isBusy(): boolean {
    return this.#lane.isBusy;
  }

  async write(bytes: Uint8Array): Promise<number> {
    const turn = this.#lane.enter();
    if (turn !== undefined) await turn;
    try {
      return await this.#send(bytes);
    } finally {
      this.#lane.leave();
    }
  }

  async writeAll(bytes: Uint8Array): Promise<void> {
    const turn = this.#lane.enter();
    if (turn !== undefined) await turn;
    try {
      for (let sent = 0; sent < bytes.length;) sent += await this.#send(bytes.subarray(sent));
    } finally {
      this.#lane.leave();
    }
  }

  /** Says, after all that is being written, that no more will come. */
  async close(): Promise<void> {
    const turn = this.#lane.enter();
    if (turn !== undefined) await turn;
    try {
      await this.#conn.closeWrite();
    } catch (error) {
      throw this.#onFailure(error);
    } finally {
      this.#lane.leave();
    }
  }

  async #send(bytes: Uint8Array): Promise<number> {
    this.#guard?.begin();
    try {
      return await this.#conn.write(bytes);
    } catch (error) {
      throw this.#onFailure(error);
    } finally {
      this.#guard?.end();
    }
  }
}
