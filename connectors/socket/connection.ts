import { LONGEST_DELAY } from "../../internal/timer.ts";
import { eventLoopLag } from "../../internal/event_loop_lag.ts";
import { answerOf } from "../../internal/promise_like.ts";
import "./loopback_turn.ts";
import { IdleWatch, type WatchEvents } from "./idle_watch.ts";
import { IoWatchdog } from "./io_watchdog.ts";
import { Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

/**
 * - `open`: both directions work, as far as is known
 * - `halfClosed`: we have ended our direction
 * - `ended`: the peer has ended its direction
 * - `failed`: a read or write has failed
 * - `closed`: by us
 */
type ConnectionState = "open" | "halfClosed" | "ended" | "failed" | "closed";

/** The options of its connector that a connection uses. */
export interface ConnectionPlan {
  readonly ioTimeout?: number | undefined;
  /** Whether these bytes, all that came during a lease, only say that the peer hangs up. */
  farewell?(bytes: Uint8Array<ArrayBuffer>): boolean;
  /** Whether a close loses what the peer has not taken in yet, as with TLS. */
  readonly flushesBeforeClose?: boolean;
}

// How long a peer may take to read the last bytes written.
const FLUSH_MS = 2_000;

// A farewell is short; longer input is not kept.
const LONGEST_FAREWELL_BYTES = 16_384;

/**
 * The state of a socket's connection: both of its halves, and whether it can be reused.
 * There may be 10,000 idle ones, so its parts call its methods: callbacks would take more
 * memory.
 */
export class Connection<A extends Deno.Addr> {
  readonly conn: Deno.Conn<A>;
  readonly reader: Reader;
  readonly writer: Writer;
  readonly watch: IdleWatch;
  readonly #plan: ConnectionPlan;
  #state: ConnectionState = "open";
  #failure: unknown = undefined;
  /** Whether the connection has been closed, because of a failure or for good. */
  #isReleased = false;
  /** The number of bytes received since the connection was lent. */
  received = 0;
  /** Those bytes, if they might be a farewell. */
  #words: Uint8Array<ArrayBuffer>[] | undefined = undefined;
  /** What `init` has given. */
  state: unknown = undefined;
  /** Aborted when its pool is closed; the reason is the error of a borrower that is cut off. */
  poolClosed: AbortSignal | undefined = undefined;
  /** Reads unsolicited bytes, if the connector has `accept`. */
  accept: ((signal: AbortSignal) => unknown) | undefined = undefined;

  constructor(conn: Deno.Conn<A>, plan: ConnectionPlan) {
    this.conn = conn;
    this.#plan = plan;
    this.reader = new Reader(this, this.#watchdog("read"));
    this.writer = new Writer(this, this.#watchdog("written"));
    this.watch = new IdleWatch(this);
    eventLoopLag.join();
  }

  /** Whether the connection cannot be used any more. */
  get isBroken(): boolean {
    return this.#state !== "open" || this.reader.isBusy || this.writer.isBusy ||
      this.reader.isAbandoned || this.reader.unread > 0 && !this.#mayAcceptUnread;
  }

  /** Whether the peer hung up on the present borrower after sending nothing but its farewell. */
  get isStale(): boolean {
    if (this.received > 0) return this.#hasSaidFarewell;
    return this.#state === "ended" ||
      this.#state === "failed" && !(this.#failure instanceof Deno.errors.TimedOut);
  }

  /** It has a new borrower. */
  lend(): void {
    this.received = 0;
    this.#words = undefined;
  }

  /** Begins to watch it; reports at once if it is lost already. */
  beginWatch(events: WatchEvents): void {
    if (this.#isReleased) {
      return events.lost(this.#failure ?? new Deno.errors.BadResource("closed"));
    }
    this.reader.watchdog?.rest();
    this.writer.watchdog?.rest();
    this.watch.begin(events);
  }

  /** Reads unsolicited bytes. Rejects if the connection cannot be reused then. */
  async acceptBytes(signal: AbortSignal): Promise<void> {
    await this.accept!(signal);
    if (this.reader.unread > 0) {
      throw new Deno.errors.InvalidData(`accept() left ${this.reader.unread} bytes unread`);
    }
    this.assertFit("accept");
  }

  /** Throws if a user's function has left the connection in an unusable state. */
  assertFit(what: string): void {
    if (!this.isBroken) return;
    if (this.#state === "failed") throw this.#failure;
    const { unread } = this.reader;
    if (unread > 0) throw new Deno.errors.InvalidData(`${what}() left ${unread} bytes unread`);
    if (this.#state === "ended") {
      throw new Deno.errors.UnexpectedEof(`The peer closed the connection during ${what}()`);
    }
    throw new Deno.errors.BadResource(`${what}() left the connection closed, or in use`);
  }

  /** Ends our direction. */
  async closeWrite(): Promise<void> {
    if (this.#state === "open") this.#state = "halfClosed";
    await this.writer.close();
  }

  /**
   * Closes it. Operations in flight and later ones fail with the reason if there is one.
   * Resolves when everything is closed, if that takes time.
   */
  close(reason?: unknown): Promise<void> | undefined {
    if (this.#state === "closed") return undefined;
    const mayLose = this.#plan.flushesBeforeClose && this.#state === "open" &&
      this.writer.isUnanswered && !this.writer.isBusy && !this.reader.isBusy;
    this.#state = "closed";
    this.#failure = reason;
    return mayLose ? this.#flushAndRelease() : this.#release();
  }

  /** Gives up the bare connection without closing it. */
  surrender(): Deno.Conn<A> {
    this.#state = "closed";
    this.#letGo();
    return this.conn;
  }

  onRead(read: number | null, room: Uint8Array): void {
    const isLive = this.#state === "open" || this.#state === "halfClosed";
    if (read === null) {
      if (isLive) this.#state = "ended";
      return;
    }
    this.received += read;
    this.writer.isUnanswered = false;
    if (this.#plan.farewell !== undefined) this.#keepWords(room.subarray(0, read));
  }

  /** An operation has failed. Returns the error to throw: the first one, if it closed the connection. */
  failed(error: unknown): unknown {
    if (this.#state === "closed") return this.#failure ?? error;
    if (this.#state !== "failed") {
      this.#state = "failed";
      this.#failure = error;
    }
    return this.#failure;
  }

  /** A parked read has ended. */
  arrived(): void {
    if (this.#state === "closed" || !this.watch.isOn) return;
    const mayAccept = this.#state === "open" && this.reader.unread > 0 &&
      this.accept !== undefined;
    this.watch.arrived(this.#strayReason(), mayAccept);
  }

  /** Fails for our own reason, together with all operations in flight. */
  break(reason: unknown): void {
    this.failed(reason);
    this.reader.fail(reason);
    this.#release();
  }

  /** At the release, unread bytes may be unsolicited ones for `accept`. */
  get #mayAcceptUnread(): boolean {
    return this.accept !== undefined && !this.watch.isOn;
  }

  get #hasSaidFarewell(): boolean {
    if (this.#words === undefined) return false;
    const bytes = new Uint8Array(this.received);
    let end = 0;
    for (const words of this.#words) {
      bytes.set(words, end);
      end += words.length;
    }
    return answerOf(this.#plan.farewell!(bytes), "farewell") === true;
  }

  #keepWords(bytes: Uint8Array): void {
    if (this.received > LONGEST_FAREWELL_BYTES) this.#words = undefined;
    else (this.#words ??= []).push(new Uint8Array(bytes));
  }

  #strayReason(): unknown {
    if (this.#state === "failed") return this.#failure;
    if (this.#state === "ended") {
      return new Deno.errors.ConnectionAborted("The peer closed the idle connection");
    }
    return new Deno.errors.InvalidData("Bytes came that nobody had asked for");
  }

  #release(): Promise<void> | undefined {
    if (this.#isReleased) return undefined;
    const gone = this.#letGo();
    this.conn.close();
    return gone;
  }

  /**
   * Deno drops what it has encrypted and the system has not taken, and the system
   * drops what it has not sent if there are bytes that nobody has read, such as
   * TLS session tickets. So these are read, and the rest is sent first.
   */
  async #flushAndRelease(): Promise<void> {
    this.reader.fail(this.#failure ?? new Deno.errors.BadResource("The socket is closed"));
    this.reader.park();
    await eventLoopLag.turn();
    await within(FLUSH_MS, this.conn.closeWrite());
    await eventLoopLag.turn();
    await this.#release();
  }

  #letGo(): Promise<void> | undefined {
    this.#isReleased = true;
    this.watch.stop();
    this.reader.watchdog?.rest();
    this.writer.watchdog?.rest();
    return eventLoopLag.leave();
  }

  #watchdog(what: string): IoWatchdog | undefined {
    const { ioTimeout = Infinity } = this.#plan;
    if (ioTimeout > LONGEST_DELAY) return undefined;
    return new IoWatchdog(
      ioTimeout,
      () => this.break(new Deno.errors.TimedOut(`No byte was ${what} for ${ioTimeout} ms`)),
    );
  }
}

/** Waits until a promise settles, but no longer than `limit` milliseconds. */
async function within(limit: number, promise: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise((resolve) => timer = setTimeout(resolve, limit));
  await Promise.race([promise.catch(() => {}), over]);
  clearTimeout(timer);
}
