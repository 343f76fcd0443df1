import { monotonicNow } from "../../internal/clock.ts";
import { type BeatListener, eventLoopLag } from "../../internal/event_loop_lag.ts";
import type { Reader } from "./reader.ts";

// How many microtasks a read takes to bring bytes that were there before it
// began. Two are seen, through the runtime's promise and our own.
const PROBE_MICROTASKS = 4;

// How many it takes a cancelled pipe to tell its source. Two for each stage are seen.
const CANCEL_MICROTASKS = 64;

// So soon after a read a probe would seldom find more than it did. A whole
// millisecond would let a stray reply reach the next borrower.
const BRIEF_MS = 0.1;

// A caller that can't wait is refused a socket that is being probed only if the
// borrower has not read from it for so long.
const UNREAD_MS = 8;

/** Takes an idle socket out of the pool during some work. */
export type Prepare = (work: (context: { readonly signal: AbortSignal }) => Promise<void>) => void;

/** The callbacks of the watch. */
export interface WatchEvents {
  /** The socket is lost. */
  lost(reason: unknown): void;
  /** Lets received bytes be read. */
  readonly prepare?: Prepare | undefined;
  /** Whether a caller is waiting to have the socket next. */
  readonly wanted: boolean;
}

/** The connection that is watched. */
export interface WatchOwner {
  readonly conn: Pick<Deno.Conn, "ref" | "unref">;
  readonly reader: Reader;
  /** The socket was lent before its loss was noticed. */
  break(reason: unknown): void;
  /** Reads unsolicited bytes. Rejects if the socket cannot be reused then. */
  acceptBytes(signal: AbortSignal): Promise<void>;
}

/**
 * - `off`: a borrower uses the socket
 * - `resting`: it is idle, perhaps only for this moment
 * - `probing`: a read is parked, which reports anything that comes
 * - `parked`: the same, and it does not keep the process alive
 * - `accepting`: unsolicited bytes are being read
 */
type WatchState = "off" | "resting" | "probing" | "parked" | "accepting";

/**
 * Watches an idle socket. Deno cannot be asked whether a peer has hung
 * up; only a read tells. So one is parked: at the next beat, or earlier if the
 * socket is asked for after a rest, or at once if a caller is waiting or there
 * may be something that the last borrower did not read. It brings within
 * microtasks what the loop has heard of before, which is a *probe*.
 *
 * To park at every release would be simpler. But then a pool in full use, whose
 * sockets are lent again at once, pays for a second system call with every
 * reply: a read that finds nothing yet, where otherwise it mostly finds the
 * reply there.
 */
export class IdleWatch implements BeatListener {
  readonly #owner: WatchOwner;
  #state: WatchState = "off";
  /** Whether it is registered for the next tick, which may find the socket lent or returned again. */
  #isEnlisted = false;
  #events: WatchEvents | undefined = undefined;
  #probe: Promise<void> | undefined = undefined;

  constructor(owner: WatchOwner) {
    this.#owner = owner;
  }

  /** Whether bytes that come now belong to no borrower. */
  get isOn(): boolean {
    return this.#state !== "off" && this.#state !== "accepting";
  }

  begin(events: WatchEvents): void {
    this.#events = events;
    if (this.#state !== "off") return;
    this.#rest();
    if (events.wanted || this.#isInDoubt) this.#probeNow();
  }

  /** The promise to await before the socket is used, so that no known event is missed. */
  probe(mayWait: boolean, hasRested: boolean): Promise<void> | undefined {
    if (this.#state === "resting" && !hasRested) return undefined; // the last read has just ended
    const caughtUp = eventLoopLag.catchUp(monotonicNow(), mayWait);
    if (caughtUp !== undefined) {
      this.#beginProbe();
      return caughtUp.then(() => this.#probeNow());
    }
    if (mayWait) return this.#state === "resting" ? this.#probeNow() : this.#probe;
    return this.#isInSeriousDoubt ? this.#probe : undefined;
  }

  /** Ends the watch, as the socket is about to be used. */
  end(): void {
    if (this.#state === "parked") this.#owner.conn.ref();
    this.stop();
    if (this.#owner.reader.isStreaming) this.lose(stillReading());
  }

  /** Ends the watch, as the socket is closed. */
  stop(): void {
    this.#state = "off";
    this.#events = undefined;
  }

  onBeat(): void {
    this.#isEnlisted = false;
    if (!this.isOn) return;
    this.#beginProbe();
    this.#state = "parked";
    this.#owner.conn.unref();
  }

  /** Bytes have come that may be accepted, or an event that makes the socket unusable. */
  arrived(reason: unknown, mayAccept: boolean): void {
    const prepare = this.#events?.prepare;
    if (mayAccept && prepare !== undefined) this.#accept(prepare);
    else this.lose(reason);
  }

  /** The socket is lost. */
  lose(reason: unknown): void {
    const events = this.#events;
    this.#events = undefined;
    if (events !== undefined) events.lost(reason);
    else if (this.#state === "off") this.#owner.break(reason);
  }

  /** Whether there may be bytes that its last borrower did not read. */
  get #isInDoubt(): boolean {
    const { mayBeBehind, isStreaming, lastReadAt } = this.#owner.reader;
    return mayBeBehind || isStreaming || performance.now() - lastReadAt > BRIEF_MS;
  }

  get #isInSeriousDoubt(): boolean {
    const { mayBeBehind, isStreaming, lastReadAt } = this.#owner.reader;
    return mayBeBehind || isStreaming || performance.now() - lastReadAt > UNREAD_MS;
  }

  #rest(): void {
    this.#state = "resting";
    if (this.#isEnlisted) return eventLoopLag.touch();
    this.#isEnlisted = true;
    eventLoopLag.enlist(this);
  }

  #accept(prepare: Prepare): void {
    if (this.#state === "parked") this.#owner.conn.ref();
    this.#state = "accepting";
    prepare(async ({ signal }) => {
      await this.#owner.acceptBytes(signal);
      if (this.#state === "accepting") this.#rest(); // else the socket has been watched anew
    });
  }

  #beginProbe(): void {
    if (this.#state !== "resting") return;
    this.#state = "probing";
    this.#owner.reader.park();
  }

  #probeNow(): Promise<void> | undefined {
    if (!this.isOn) return undefined; // the watch is over
    this.#beginProbe();
    return this.#probe ??= this.#awaitProbe();
  }

  async #awaitProbe(): Promise<void> {
    for (let hop = 0; hop < PROBE_MICROTASKS; hop++) await undefined;
    const { reader } = this.#owner;
    for (let hop = 0; hop < CANCEL_MICROTASKS && reader.isStreaming; hop++) await undefined;
    this.#probe = undefined;
    if (this.isOn && reader.isStreaming) this.lose(stillReading());
  }
}

function stillReading(): Error {
  return new Error("A stream was still reading when the lease ended");
}
