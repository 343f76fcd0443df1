import { LONGEST_DELAY } from "../../internal/timer.ts";
import { eventLoop } from "../../internal/event_loop_lag.ts";
import { IdleWatch } from "./idle_watch.ts";
import { Reader } from "./reader.ts";
import { IoWatchdog } from "./io_watchdog.ts";
import { Writer } from "./writer.ts";

/**
 * - `open`: both directions work, as far as is known
 * - `halfClosed`: we have said that we write no more
 * - `ended`: the peer has said so
 * - `failed`: a read or write has failed
 * - `closed`: by us
 */
type ConnectionState = "open" | "halfClosed" | "ended" | "failed" | "closed";

/**
 * What a socket knows of its connection: how both of its halves are, and whether
 * it is fit for another borrower. There may be 10,000 of them, idle: its parts
 * tell it of what happens by its methods, as functions would take more room.
 */
export class Connection<A extends Deno.Addr> {
  readonly conn: Deno.Conn<A>;
  readonly reader: Reader;
  readonly writer: Writer;
  readonly watch: IdleWatch;
  #state: ConnectionState = "open";
  #failure: unknown = undefined;
  /** Whether the connection has been closed, because of a failure or for good. */
  #isReleased = false;
  /** Whether the present borrower has got a byte. */
  #hasReceived = false;

  constructor(conn: Deno.Conn<A>, ioTimeout: number) {
    this.conn = conn;
    this.reader = new Reader(this, this.#watchdog("read", ioTimeout));
    this.writer = new Writer(this, this.#watchdog("written", ioTimeout));
    this.watch = new IdleWatch(this);
    eventLoop.join();
  }

  /** Whether nobody may use the connection any more. */
  get isBroken(): boolean {
    return this.#state !== "open" || this.reader.unread > 0 || this.reader.isBusy ||
      this.writer.isBusy;
  }

  /** Whether the peer had hung up on the present borrower before it gave anything back. */
  get isStale(): boolean {
    if (this.#hasReceived) return false;
    return this.#state === "ended" ||
      this.#state === "failed" && !(this.#failure instanceof Deno.errors.TimedOut);
  }

  /** It has a new borrower. */
  lend(): void {
    this.#hasReceived = false;
  }

  /** Begins to watch it; calls `onLost` at once if it is lost already. */
  beginWatch(onLost: (reason: unknown) => void, isWanted: boolean): void {
    if (this.#isReleased) return onLost(this.#failure ?? new Deno.errors.BadResource("closed"));
    this.reader.watchdog?.rest();
    this.writer.watchdog?.rest();
    this.watch.begin(onLost, isWanted);
  }

  /** We will write no more. */
  async closeWrite(): Promise<void> {
    if (this.#state === "open") this.#state = "halfClosed";
    await this.writer.close();
  }

  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#release();
  }

  /** A read has brought bytes, or, with null, the end. */
  onRead(read: number | null): void {
    const isLive = this.#state === "open" || this.#state === "halfClosed";
    if (read !== null) this.#hasReceived = true;
    else if (isLive) this.#state = "ended";
  }

  /** An operation has failed. Answers the error that says why: the first one's, if that closed the connection. */
  failed(error: unknown): unknown {
    if (this.#state === "closed") return error;
    if (this.#state !== "failed") {
      this.#state = "failed";
      this.#failure = error;
    }
    return this.#failure;
  }

  /** A read is over that nobody may have waited for. */
  arrived(): void {
    if (this.#state !== "closed" && this.watch.isOn) this.watch.lose(this.#strayReason());
  }

  /** Fails for a reason of our own, and with that all that is in flight. */
  break(reason: unknown): void {
    this.failed(reason);
    this.reader.fail(reason);
    this.#release();
  }

  #strayReason(): unknown {
    if (this.#state === "failed") return this.#failure;
    if (this.#state === "ended") {
      return new Deno.errors.ConnectionAborted("The peer closed the idle connection");
    }
    return new Deno.errors.InvalidData("Bytes came that nobody had asked for");
  }

  #release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.watch.stop();
    this.reader.watchdog?.rest();
    this.writer.watchdog?.rest();
    eventLoop.leave();
    this.conn.close();
  }

  #watchdog(what: string, ioTimeout: number): IoWatchdog | undefined {
    if (ioTimeout > LONGEST_DELAY) return undefined;
    return new IoWatchdog(
      ioTimeout,
      () => this.break(new Deno.errors.TimedOut(`No byte was ${what} for ${ioTimeout} ms`)),
    );
  }
}
