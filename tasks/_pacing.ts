import { Deferred } from "./_promises.ts";

// The platform's own, even if a test replaces them later.
const { setTimeout, clearTimeout } = globalThis;
const {
  setImmediate = (callback: () => void) => setTimeout(callback, 0),
  clearImmediate = (handle: unknown) => clearTimeout(handle as number),
} = globalThis as {
  setImmediate?: (callback: () => void) => unknown;
  clearImmediate?: (handle: unknown) => void;
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

/** A turn of the loop that is waited for. */
export interface Turn {
  /** Resolves after the turn, or when the wait is ended. */
  readonly done: Promise<void>;
  /** Waits no longer, and leaves no timer behind. */
  end(): void;
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
  turn(): Turn {
    const turn = new Deferred<void>();
    const onTurn = () => {
      this.#lastLook = performance.now();
      turn.resolve();
    };
    const isFull = ++this.#turns % TURNS_PER_TIMER === 0;
    const handle = isFull ? setTimeout(onTurn, 0) : setImmediate(onTurn);
    const clear = isFull ? () => clearTimeout(handle as number) : () => clearImmediate(handle);
    const end = () => {
      clear();
      turn.resolve();
    };
    return { done: turn.promise, end };
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
