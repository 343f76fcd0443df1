// The platform's own, even if a test replaces them later.
const { setInterval, clearInterval, setTimeout, clearTimeout } = globalThis;

/** The interval of ticks while sockets are in use. */
const BEAT_MS = 5;
/** The same while they are idle, if a turn is expensive. */
const IDLE_BEAT_MS = 25;
/** A tick that is later than this was delayed by a stall. */
const LATE_MS = 3;
/** After this many ticks without use sockets count as idle: a quarter of a second. */
const BEATS_OF_USE = 50;
/** How often a turn by two timers is tried again if they are delayed themselves. */
const TIMER_ATTEMPTS = 3;

/** Called at the next tick. */
export interface BeatListener {
  onBeat(): void;
}

/**
 * A cheap turn of the event loop: its promise resolves only after the loop has polled the
 * system. Code that may open sockets provides it, see {@linkcode EventLoopLag.provide}.
 */
export interface TurnSource {
  /** Whether it may be used: the program has the permission, and it has not failed. */
  readonly isAvailable: boolean;
  /** Gets ready in the background. */
  open(): void;
  /** Takes a turn. Rejects if that is not possible in this way. */
  take(): Promise<void>;
  /** Releases its resources; resolves when that is done. */
  close(): Promise<void> | undefined;
}

/**
 * Knows whether the event loop has turned lately. While JavaScript blocks the loop, or the
 * process is stopped, no event of a peer is noticed, and events are reported only after the
 * loop has polled the system again: neither a pending read nor a new one reports them
 * earlier.
 *
 * While sockets are in use there are ticks. A late tick shows that the loop was blocked;
 * probes then have to wait for a turn. When no socket has been used for a while there are no
 * ticks, so that an idle program does nothing, and the first probe takes a turn. If a turn
 * is expensive, slower ticks go on instead: events during a shorter stall are missed.
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
    this.#start(BEAT_MS, performance.now()); // no event can have been missed so far
  }

  /** There is one socket less. With the last one the shared resources are closed; resolves then, if that takes time. */
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

  /** Calls the listener at the next tick, once. */
  enlist(listener: BeatListener): void {
    this.#listeners.push(listener);
    this.touch();
  }

  /**
   * The promise to await until the loop has polled the system, if that may be necessary. For
   * a non-waiting caller only a noticed stall makes it necessary.
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

  /** Whether the loop has kept up until now. Without ticks that is unknown. */
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

  /** A late tick runs before the system is polled: only the next one in time shows that it was. */
  #beat(): void {
    const now = performance.now();
    const isLate = now - this.#lastBeat > this.#period + LATE_MS;
    if (!isLate) this.#sound = now;
    else if (this.#hasCheapTurn) this.#takeTurn(now); // before a caller has to wait for it
    this.#lastBeat = now;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener.onBeat();
    if (++this.#beatsSinceUse === BEATS_OF_USE) this.#rest();
  }

  /** No socket has been used for a while. */
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
        // Cheap turns have failed: from now on timers are used.
      }
    }
    await this.#twoTimers();
  }

  /**
   * The first timer may fire before the system is polled; the second can't, unless it is
   * late itself. The attempts are limited, for a loop that is always late.
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
