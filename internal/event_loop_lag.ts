// The platform's own, whatever a test puts in their place later.
const { setInterval, clearInterval, setTimeout, clearTimeout } = globalThis;

const BEAT = 25;
const LAG = 75;

/** One who wants to be told of the next beat. */
export interface Listener {
  onBeat(): void;
}

/**
 * Beats while there are sockets, 40 times a second: some 0.01 % of a core. That
 * serves two ends. Sockets that have just gone idle learn that they are likely
 * to stay so. And it is known whether the loop has been held up: what a peer
 * did meanwhile is seen only after a turn of the loop, in which it asks the
 * system again, and of all ways to wait for that only timers are sure to work.
 * To await a turn at every loan would make each 2 ms slower.
 */
class EventLoop {
  #listeners: Listener[] = [];
  #sockets = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #lastBeat = 0;
  /** When the loop was last known to keep up. */
  #sound = 0;
  /** What those who ask now wait for; once the loop has been held up again, it is too early. */
  #turn: Promise<void> | undefined;
  #turnBegan = 0;
  #pause: ReturnType<typeof setTimeout> | undefined;
  #resume: () => void = () => {};

  /** There is one more socket. */
  join(): void {
    if (this.#sockets++ > 0) return;
    this.#sound = this.#lastBeat = performance.now();
    this.#timer = setInterval(() => this.#beat(), BEAT);
    (this.#timer as { unref?(): void }).unref?.();
  }

  /** There is one socket less. With the last one, no timer is left. */
  leave(): void {
    if (--this.#sockets > 0) return;
    clearInterval(this.#timer);
    clearTimeout(this.#pause);
    this.#listeners = [];
    this.#resume();
  }

  /** Has the next beat told to the listener, once. */
  enlist(listener: Listener): void {
    this.#listeners.push(listener);
  }

  /** What to wait for, if the loop has been held up, until it has asked the system again. */
  catchUp(now: number): Promise<void> | undefined {
    if (now - this.#sound <= LAG) return undefined;
    if (this.#turn === undefined || now - this.#turnBegan > LAG) {
      this.#turnBegan = now;
      this.#turn = this.#takeTurn();
    }
    return this.#turn;
  }

  /** A late beat comes before the system is asked: only the next one in time shows that it was. */
  #beat(): void {
    const now = performance.now();
    if (now - this.#lastBeat <= LAG) this.#sound = now;
    this.#lastBeat = now;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener.onBeat();
  }

  /** The first timer may fire before the system is asked; the second can't, unless it is late itself. A loop that is always late has its turns too. */
  async #takeTurn(): Promise<void> {
    for (let attempt = 0; attempt < 3; attempt++) {
      const began = performance.now();
      await this.#awaitTimer();
      await this.#awaitTimer();
      if (performance.now() - began <= LAG) break;
    }
    this.#sound = performance.now();
    this.#turn = undefined;
  }

  async #awaitTimer(): Promise<void> {
    if (this.#sockets === 0) return;
    await new Promise<void>((resolve) => {
      this.#resume = resolve;
      this.#pause = setTimeout(resolve, 0);
    });
  }
}

/** The event loop that all sockets share. */
export const eventLoop = new EventLoop();
