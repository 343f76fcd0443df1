// The platform's own, whatever a test puts in their place later.
const { setInterval, clearInterval, setTimeout, clearTimeout } = globalThis;

/** How often the loop is looked at while sockets are in use. */
const BEAT_MS = 5;
/** The same while they are idle, where a turn is dear. */
const IDLE_BEAT_MS = 25;
/** A beat that comes later than this was held up. */
const LATE_MS = 3;
/** After so many beats without use sockets count as idle: a quarter of a second. */
const BEATS_OF_USE = 50;
/** So often two timers are tried that are held up themselves. */
const TIMER_ATTEMPTS = 3;

/** Wants to be called at the next beat. */
export interface BeatListener {
  onBeat(): void;
}

/**
 * A cheap way to have the event loop turn: what it resolves is resolved only
 * after the loop has asked the system for news. Code that may open sockets
 * provides it, see {@linkcode EventLoopLag.provide}.
 */
export interface TurnSource {
  /** Whether it may be used: the program has the permission, and it has not failed. */
  readonly isAvailable: boolean;
  /** Gets ready in the background. */
  open(): void;
  /** Has the loop turn. Rejects if that can't be had in this way. */
  take(): Promise<void>;
  /** Lets go of what it holds; resolves when that is done. */
  close(): Promise<void> | undefined;
}

/**
 * Tells whether the event loop has turned lately. While JavaScript holds the
 * loop, or the process is stopped, nobody learns what peers do, and what they
 * did is reported only when the loop has asked the system again: neither a
 * pending read nor a new one tells earlier.
 *
 * While sockets are in use there is a beat. One that comes late shows that the
 * loop was held up; what is asked then has to wait for a turn. When nothing has
 * been used for a while there is no beat, so that an idle program does nothing;
 * the first that asks takes a turn. Where a turn is dear, a slower beat goes on
 * instead: what happens during a stall shorter than that goes unnoticed.
 */
export class EventLoopLag {
  #source: TurnSource | undefined;
  #isSourceOpen = false;
  #listeners: BeatListener[] = [];
  #sockets = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #period = 0;
  #beatsSinceUse = 0;
  #lastBeat = -Infinity;
  /** When the loop is last known to have kept up. */
  #sound = -Infinity;
  #turn: Promise<void> | undefined;
  #turnBegan = -Infinity;
  #pause: ReturnType<typeof setTimeout> | undefined;
  #resume: () => void = () => {};

  /** Sets where cheap turns come from. */
  provide(source: TurnSource): void {
    this.#source = source;
  }

  /** There is one more socket. */
  join(): void {
    if (this.#sockets++ > 0) return;
    this.#beatsSinceUse = 0;
    this.#start(BEAT_MS, performance.now()); // nothing has happened to it yet
  }

  /** There is one socket less. With the last one goes all that is held for them; resolves then, if that takes time. */
  leave(): Promise<void> | undefined {
    if (--this.#sockets > 0) return undefined;
    this.#stop();
    clearTimeout(this.#pause);
    this.#listeners = [];
    this.#resume();
    this.#isSourceOpen = false;
    return this.#source?.close();
  }

  /** A socket is in use: it has been lent or returned. */
  touch(): void {
    this.#beatsSinceUse = 0;
    if (this.#sockets === 0) return;
    if (this.#period !== BEAT_MS) this.#changeBeat(BEAT_MS);
    if (!this.#isSourceOpen) this.#openSource();
  }

  /** Calls the listener at the next beat, once. */
  enlist(listener: BeatListener): void {
    this.#listeners.push(listener);
    this.touch();
  }

  /**
   * What to wait for until the loop has asked the system for news, if it may
   * not have done so. A caller that can't wait is held up only by a stall that
   * was noticed, not where nothing is known.
   */
  catchUp(now: number, mayWait = true): Promise<void> | undefined {
    const isSound = this.#isSound(now);
    const isUnknown = this.#period === 0 ||
      this.#sound === -Infinity && now - this.#lastBeat <= this.#period + LATE_MS;
    this.touch();
    if (isSound || isUnknown && !mayWait) return undefined;
    return this.#takeTurn(now);
  }

  /** Resolves after a turn that begins now. */
  turn(): Promise<void> {
    return this.#takeTurn(performance.now());
  }

  get #hasCheapTurn(): boolean {
    return this.#source?.isAvailable ?? false;
  }

  #isSound(now: number): boolean {
    return this.#period > 0 && now - this.#sound <= this.#period + LATE_MS;
  }

  #openSource(): void {
    this.#isSourceOpen = true;
    if (this.#hasCheapTurn) this.#source!.open();
  }

  /** What was known of the loop is so still. Without a beat nothing was. */
  #changeBeat(period: number): void {
    const now = performance.now();
    this.#start(period, this.#isSound(now) ? now : -Infinity);
  }

  #start(period: number, sound: number): void {
    clearInterval(this.#timer);
    this.#period = period;
    this.#sound = sound;
    this.#lastBeat = performance.now();
    this.#timer = setInterval(() => this.#beat(), period);
    (this.#timer as { unref?(): void }).unref?.();
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#period = 0;
    this.#sound = -Infinity;
  }

  /** A late beat comes before the system is asked: only the next one in time shows that it was. */
  #beat(): void {
    const now = performance.now();
    const isLate = now - this.#lastBeat > this.#period + LATE_MS;
    if (!isLate) this.#sound = now;
    else if (this.#hasCheapTurn) this.#takeTurn(now); // so that few have to wait for it
    this.#lastBeat = now;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener.onBeat();
    if (++this.#beatsSinceUse === BEATS_OF_USE) this.#rest();
  }

  /** Nothing has been used for a while. */
  #rest(): void {
    if (this.#hasCheapTurn) this.#stop();
    else if (this.#period === BEAT_MS) this.#changeBeat(IDLE_BEAT_MS);
  }

  /** Turns are shared, but not with one that began before a stall. */
  #takeTurn(now: number): Promise<void> {
    if (this.#turn !== undefined && now - this.#turnBegan <= LATE_MS) return this.#turn;
    this.#turnBegan = now;
    const turn = this.#turnAfter(this.#turn, now);
    this.#turn = turn;
    return turn;
  }

  async #turnAfter(previous: Promise<void> | undefined, began: number): Promise<void> {
    if (previous !== undefined) await previous;
    await this.#turnNow();
    if (began > this.#sound && this.#period > 0) this.#sound = began;
    if (this.#turnBegan === began) this.#turn = undefined;
  }

  async #turnNow(): Promise<void> {
    if (this.#sockets > 0 && this.#hasCheapTurn) {
      try {
        return await this.#source!.take();
      } catch {
        // It is not available any more: from now on timers will have to do.
      }
    }
    await this.#twoTimers();
  }

  /**
   * The first timer may fire before the system is asked; the second can't, unless
   * it is late itself. A loop that is always late has its turns too.
   */
  async #twoTimers(): Promise<void> {
    for (let attempt = 0; attempt < TIMER_ATTEMPTS; attempt++) {
      const began = performance.now();
      await this.#awaitTimer();
      await this.#awaitTimer();
      if (performance.now() - began <= IDLE_BEAT_MS) break;
    }
  }

  async #awaitTimer(): Promise<void> {
    if (this.#sockets === 0) return;
    await new Promise<void>((resolve) => {
      this.#resume = resolve;
      this.#pause = setTimeout(resolve, 0);
    });
  }
}

/** The lag of the event loop, which all sockets share. */
export const eventLoopLag = new EventLoopLag();
