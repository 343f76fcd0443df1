// The platform's own, even if a test replaces them later.
const { setTimeout } = globalThis;
const { setImmediate = (callback: () => void) => setTimeout(callback, 0) } = globalThis as {
  setImmediate?: (callback: () => void) => unknown;
};

/** How long items that never wait for anything may keep the event loop from its other work, in milliseconds. */
const LONGEST_RUN = 8;
/** How much of that may pass between two readings of the clock, estimated from the last items. */
const LOOK_INTERVAL = 2;
const MOST_BETWEEN_LOOKS = 64;
// An immediate lets timers fire and costs 50 µs. Only a timer lets the loop read from sockets, and costs 1 ms.
const TURNS_PER_TIMER = 5;

/** Resolves after all pending microtasks and due timers. */
export function nextTurn(): Promise<void> {
  return new Promise<void>((resolve) => void setImmediate(() => resolve()));
}

function nextFullTurn(): Promise<void> {
  return new Promise<void>((resolve) => void setTimeout(resolve, 0));
}

/** Lets work that never waits give way to the event loop now and then. */
class Pacer {
  /** The number of items between two readings of the clock, and how many are left until the next. */
  #stride = 1;
  #left = 1;
  #lastLook = 0;
  #turns = 0;
  /** When the present run of items began; they run on as long as the loop does not turn. */
  #runBegan = 0;
  #run: "none" | "under way" = "none";

  /** Whether it is time for a turn of the loop; must be called after each item. */
  isDue(): boolean {
    return --this.#left <= 0 && this.#look();
  }

  /** Takes a turn of the loop. */
  async turn(): Promise<void> {
    await (++this.#turns % TURNS_PER_TIMER === 0 ? nextFullTurn() : nextTurn());
    this.#lastLook = performance.now();
  }

  #look(): boolean {
    const now = performance.now();
    const perItem = (now - this.#lastLook) / this.#stride;
    // A small integer, which V8 counts down faster than a double.
    this.#stride = Math.max(1, Math.min(LOOK_INTERVAL / perItem, MOST_BETWEEN_LOOKS) | 0);
    this.#left = this.#stride;
    this.#lastLook = now;
    if (this.#run === "under way") return now - this.#runBegan >= LONGEST_RUN;
    this.#beginRun(now);
    return false;
  }

  #beginRun(now: number): void {
    this.#run = "under way";
    this.#runBegan = now;
    setImmediate(() => this.#run = "none");
  }
}

/** The pace of all items of all pools: there is one event loop. */
export const pacer = new Pacer();
