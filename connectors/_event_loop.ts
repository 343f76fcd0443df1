// The platform's own, whatever a test puts in their place later.
const { setInterval, clearInterval, setTimeout } = globalThis;

const BEAT = 25;
const LAG = 75;

/**
 * Knows whether the event loop has been held up. What a peer did meanwhile is
 * seen only after a turn of the loop, in which it asks the system again, and of
 * all ways to wait for that only timers are sure to work.
 *
 * It beats while there are sockets, 40 times a second: some 0.01 % of a core.
 * The alternative, to await a turn whenever an idle socket is lent, would make
 * each such loan 2 ms slower.
 */
class EventLoop {
  #sockets = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #lastBeat = 0;
  /** When the loop was last known to keep up. */
  #sound = 0;

  /** There is one more socket. */
  join(): void {
    if (this.#sockets++ > 0) return;
    this.#sound = this.#lastBeat = performance.now();
    this.#timer = setInterval(() => this.#beat(), BEAT);
    Deno.unrefTimer(this.#timer as unknown as number);
  }

  /** There is one socket less. */
  leave(): void {
    if (--this.#sockets === 0) clearInterval(this.#timer);
  }

  /** What to wait for, if the loop has been held up, until it has asked the system again. */
  catchUp(): Promise<void> | undefined {
    if (performance.now() - this.#sound > LAG) return this.#takeTurn();
  }

  /** A late beat comes before the system is asked: only the next one in time shows that it was. */
  #beat(): void {
    const now = performance.now();
    if (now - this.#lastBeat <= LAG) this.#sound = now;
    this.#lastBeat = now;
  }

  /** The first timer may fire before the system is asked; the second can't, unless it is late itself. */
  async #takeTurn(): Promise<void> {
    let began: number;
    do {
      began = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 0));
      await new Promise((resolve) => setTimeout(resolve, 0));
    } while (performance.now() - began > LAG);
    this.#sound = performance.now();
  }
}

/** The event loop that all sockets share. */
export const eventLoop = new EventLoop();
