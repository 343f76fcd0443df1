import { ignoreResult } from "../internal/promise_like.ts";
import { shown } from "../internal/text.ts";
import { setTimer, type Timer } from "../internal/timer.ts";
import type { Permit } from "../pool/semaphore.ts";
import type { PermitSource, RateLimit } from "./options.ts";

/** The part of the slots that a meter uses. */
interface MeteredSlots {
  readonly queue: { readonly size: number; peek(): { refuse(reason: unknown): void } | undefined };
  /** How many more could start, as far as slots go. */
  readonly room: number;
  dispatch(): void;
}

/**
 * The further requirements of a start: a token of the rate limit, and a permit of a shared
 * semaphore. Both are acquired for the head of the queue, whichever entry that is by then.
 */
export class Meter {
  readonly #rate: TokenBucket | undefined;
  readonly #permits: PermitSource | undefined;
  readonly #call: (callback: () => unknown) => void;
  #slots!: MeteredSlots;
  /** Unused permits, and permits of running entries. */
  #spare: Permit[] = [];
  readonly #used: Permit[] = [];
  /** How many permits are asked for with the present signal. */
  #pending = 0;
  #asking = new AbortController();
  #timer: Timer | undefined;

  /** `call` calls what may fail, and reports its error. */
  constructor(
    rate: RateLimit | undefined,
    permits: PermitSource | undefined,
    now: () => number,
    call: (callback: () => unknown) => void,
  ) {
    this.#rate = rate && new TokenBucket(rate, now);
    this.#permits = permits;
    this.#call = call;
  }

  bind(slots: MeteredSlots): void {
    this.#slots = slots;
  }

  /** Whether something may start now. */
  get isReady(): boolean {
    return (this.#rate === undefined || this.#rate.wait === 0) && this.#hasPermit();
  }

  /** Takes the requirements of a start. If they are not available, `dispatch` is called when they are. */
  tryTake(): boolean {
    const wait = this.#rate?.wait ?? 0;
    if (wait > 0) {
      this.#wake(wait);
      return false;
    }
    if (!this.#hasPermit()) {
      this.#askFor(this.#permits!);
      return false;
    }
    this.#rate?.take();
    if (this.#permits !== undefined) this.#used.push(this.#spare.pop()!);
    return true;
  }

  /** A started entry has ended. */
  giveBack(): void {
    const permit = this.#used.shift();
    if (permit !== undefined) this.#call(() => permit.release());
  }

  /** The queue is empty. */
  rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending > 0) {
      this.#asking.abort(new DOMException("Nothing waits for the permit any more", "AbortError"));
      this.#asking = new AbortController();
      // What is queued before these have been rejected has to ask for itself.
      this.#pending = 0;
    }
    for (const permit of this.#spare.splice(0)) this.#call(() => permit.release());
  }

  /** Whether a permit is available without waiting, or none is needed. */
  #hasPermit(): boolean {
    if (this.#permits === undefined || this.#spare.length > 0) return true;
    const permit = tryPermit(this.#permits);
    if (permit !== undefined) this.#spare.push(permit);
    return permit !== undefined;
  }

  #wake(wait: number): void {
    this.#timer ??= setTimer(Math.ceil(wait), () => {
      this.#timer = undefined;
      this.#slots.dispatch();
    });
  }

  #askFor(permits: PermitSource): void {
    const wanted = Math.max(1, this.#slots.room) - this.#pending;
    for (let i = 0; i < wanted; i++) this.#ask(permits);
  }

  async #ask(permits: PermitSource): Promise<void> {
    const { signal } = this.#asking;
    this.#pending++;
    try {
      const permit = await permits.acquire({ signal });
      if (!isPermit(permit)) {
        throw new TypeError(`semaphore.acquire() must give a permit: received ${shown(permit)}`);
      }
      if (!signal.aborted) this.#pending--;
      this.#spare.push(permit);
      this.#slots.dispatch();
    } catch (reason) {
      if (signal.aborted) return;
      this.#pending--;
      this.#slots.queue.peek()?.refuse(reason);
    }
    if (this.#slots.queue.size === 0) this.rest();
  }
}

/** A permit without waiting. Where that fails `acquire()` is asked, whose error reaches a task. */
function tryPermit(permits: PermitSource): Permit | undefined {
  try {
    const permit: unknown = permits.tryAcquire?.();
    if (isPermit(permit)) return permit;
    ignoreResult(permit, () => {});
  } catch {
    // As if there were none.
  }
}

function isPermit(value: unknown): value is Permit {
  return typeof (value as Partial<Permit> | null | undefined)?.release === "function";
}

/** A rate limit: a bucket of `limit` tokens that gets one back after each part of the interval. */
class TokenBucket {
  readonly #limit: number;
  readonly #perToken: number;
  #tokens: number;
  readonly #now: () => number;
  #filled: number;

  constructor({ limit, interval }: RateLimit, now: () => number) {
    this.#now = now;
    this.#filled = now();
    this.#limit = this.#tokens = limit;
    this.#perToken = interval / limit;
  }

  /** How long it takes until there is a token, in milliseconds. */
  get wait(): number {
    const now = this.#now();
    this.#tokens = Math.min(this.#limit, this.#tokens + (now - this.#filled) / this.#perToken);
    this.#filled = now;
    return this.#tokens >= 1 ? 0 : (1 - this.#tokens) * this.#perToken;
  }

  take(): void {
    this.#tokens--;
  }
}
