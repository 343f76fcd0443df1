import type { ReentrancyGuard } from "./_reentrancy.ts";
import type { Slots } from "./_slots.ts";

// Two checks in a row without progress: the first after a busy time of the event loop comes too early,
// before the I/O that would have made progress.
const LOOK_INTERVAL = 50;
const QUIET_LOOKS = 2;
/** The same if some holders are unknown, but enough is queued for all of them to wait. */
const QUIET_LOOKS_UNSURE = 20;

/** Notices when every slot is held by a task that waits for its nested work. */
export class StandstillWatch {
  readonly #guard: ReentrancyGuard;
  readonly #slots: Slots;
  readonly #onStandstill: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #quiet = 0;
  /** The progress count at the last check, and at the last reported standstill. */
  #seen = -1;
  #toldAt = -1;

  constructor(guard: ReentrancyGuard, slots: Slots, onStandstill: () => void) {
    this.#guard = guard;
    this.#slots = slots;
    this.#onStandstill = onStandstill;
  }

  /** Whether there was no progress since a reported standstill. */
  get isStanding(): boolean {
    return this.#toldAt === this.#slots.moves;
  }

  /** Checks repeatedly, as long as a holder waits for its nested work. */
  watch(): void {
    if (this.#timer !== undefined) return;
    // It keeps the process alive, which would otherwise end before the standstill is reported.
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#look();
    }, LOOK_INTERVAL);
  }

  /** Must be called when nothing runs; removes the timer. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const { moves } = this.#slots;
    this.#quiet = moves === this.#seen ? this.#quiet + 1 : 0;
    this.#seen = moves;
    if (this.#guard.blocked === 0 || this.isStanding) return;
    this.watch();
    const needed = this.#quietLooksNeeded();
    if (this.#quiet < needed) return;
    this.#toldAt = moves;
    this.#onStandstill();
  }

  #quietLooksNeeded(): number {
    const { known, blocked } = this.#guard;
    const { held, queue, isStuck } = this.#slots;
    if (blocked < known || !isStuck) return Infinity;
    if (known === held) return QUIET_LOOKS;
    return queue.size >= held ? QUIET_LOOKS_UNSURE : Infinity;
  }
}
