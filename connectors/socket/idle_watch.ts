import { monotonicNow } from "../../internal/clock.ts";
import { eventLoop, type Listener } from "../../internal/event_loop_lag.ts";
import type { Reader } from "./reader.ts";

// How many microtasks a read takes to bring bytes that were there before it
// began. Two are seen, through the runtime's promise and our own.
const PROBE_MICROTASKS = 4;

// So many milliseconds after a read a look would seldom find more than it did. A
// whole one would let a stray reply reach the next borrower.
const BRIEF_MS = 0.1;

// How many it takes a cancelled pipe to tell its source. Two for each stage are seen.
const CANCEL_MICROTASKS = 64;

/** The connection that is watched. */
export interface WatchOwner {
  readonly conn: Pick<Deno.Conn, "ref" | "unref">;
  readonly reader: Reader;
  /** It turns out too late that it should not have been lent. */
  break(reason: unknown): void;
}

/**
 * - `off`: somebody uses the socket
 * - `resting`: nobody does, perhaps only for this moment
 * - `looking`: a read is parked, which tells of whatever comes
 * - `parked`: and it does not keep the process alive
 */
type WatchState = "off" | "resting" | "looking" | "parked";

/**
 * Watches a socket that nobody uses. Deno cannot be asked whether a peer has hung
 * up; only a read tells. So one is parked: at the next beat, or earlier if the
 * socket is asked for after a rest, or at once if somebody is waiting for it or
 * there may be something that its last borrower did not read. It brings within
 * microtasks what has come before, which is a *look*.
 *
 * To park at every release would be simpler. But then a pool in full use, whose
 * sockets are lent again at once, pays for a second system call with every
 * reply: a read that finds nothing yet, where otherwise it mostly finds the
 * reply there.
 */
export class IdleWatch implements Listener {
  readonly #owner: WatchOwner;
  #state: WatchState = "off";
  /** Whether the next beat will be told: it may find the socket lent, or lent and returned again. */
  #isEnlisted = false;
  #onLost: ((reason: unknown) => void) | undefined = undefined;
  #look: Promise<void> | undefined = undefined;

  constructor(owner: WatchOwner) {
    this.#owner = owner;
  }

  /** Whether what comes now is nobody's. */
  get isOn(): boolean {
    return this.#state !== "off";
  }

  begin(onLost: (reason: unknown) => void, isWanted: boolean): void {
    if (this.#state !== "off") return;
    this.#state = "resting";
    this.#onLost = onLost;
    this.#awaitBeat();
    if (isWanted || this.#isInDoubt) this.#lookNow();
  }

  /**
   * What to await before the socket is used, so that nothing is overlooked that
   * could be seen. One in a hurry is held up only if there is reason for doubt.
   */
  settle(isHurried: boolean, hasRested: boolean): Promise<void> | undefined {
    if (this.#state === "resting" && !hasRested) return undefined; // what was heard last was heard just now
    const heldUp = eventLoop.catchUp(monotonicNow());
    if (heldUp !== undefined) {
      this.#beginLook();
      return heldUp.then(() => this.#lookNow());
    }
    const needsLook = this.#state === "resting" && hasRested && !isHurried;
    return needsLook ? this.#lookNow() : this.#look;
  }

  /** Ends the watch, as somebody is about to use the socket. */
  end(): void {
    if (this.#state === "parked") this.#owner.conn.ref();
    this.stop();
    if (this.#owner.reader.isStreaming) this.lose(stillReading());
  }

  /** Ends the watch, as the socket is closed. */
  stop(): void {
    this.#state = "off";
    this.#onLost = undefined;
  }

  /** To be called at a beat. */
  onBeat(): void {
    this.#isEnlisted = false;
    if (this.#state === "off") return;
    this.#beginLook();
    this.#state = "parked";
    this.#owner.conn.unref();
  }

  /** The socket is of no use to anybody any more. */
  lose(reason: unknown): void {
    const onLost = this.#onLost;
    this.#onLost = undefined;
    if (onLost !== undefined) onLost(reason);
    else if (this.#state === "off") this.#owner.break(reason);
  }

  /** Whether there may be something that its last borrower did not read. */
  get #isInDoubt(): boolean {
    const { mayBeBehind, isStreaming, lastReadAt } = this.#owner.reader;
    return mayBeBehind || isStreaming || performance.now() - lastReadAt > BRIEF_MS;
  }

  #awaitBeat(): void {
    if (this.#isEnlisted) return;
    this.#isEnlisted = true;
    eventLoop.enlist(this);
  }

  #beginLook(): void {
    if (this.#state !== "resting") return;
    this.#state = "looking";
    this.#owner.reader.park();
  }

  #lookNow(): Promise<void> | undefined {
    if (this.#state === "off") return undefined; // the watch is over
    this.#beginLook();
    return this.#look ??= this.#lookAround();
  }

  async #lookAround(): Promise<void> {
    for (let hop = 0; hop < PROBE_MICROTASKS; hop++) await undefined;
    for (let hop = 0; hop < CANCEL_MICROTASKS && this.#owner.reader.isStreaming; hop++) {
      await undefined;
    }
    this.#look = undefined;
    if (this.isOn && this.#owner.reader.isStreaming) this.lose(stillReading());
  }
}

function stillReading(): Error {
  return new Error("A stream was still reading when the lease ended");
}
