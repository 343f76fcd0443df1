import type { ReentrancyGuard } from "./_reentrancy.ts";
import type { Slots } from "./_slots.ts";

// Two looks in a row that see nothing move: the first after a busy time of the event loop comes too
// early, before the news that would have moved something.
const LOOK_INTERVAL = 50;
const QUIET_LOOKS = 2;
/** The same where some holders of slots are not known, but as much is queued as they may wait for. */
const QUIET_LOOKS_UNSURE = 20;

/** Notices when every slot is held by a task that waits for work from inside it. */
export class StandstillWatch {
  readonly #guard: ReentrancyGuard;
  readonly #slots: Slots;
  readonly #onStandstill: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #quiet = 0;
  /** The moves that there had been at the last look, and when a standstill was told. */
  #seen = -1;
  #toldAt = -1;

  constructor(guard: ReentrancyGuard, slots: Slots, onStandstill: () => void) {
    this.#guard = guard;
    this.#slots = slots;
    this.#onStandstill = onStandstill;
  }

  /** Whether nothing has moved since a standstill was told. */
  get isStanding(): boolean {
    return this.#toldAt === this.#slots.moves;
  }

  /** Looks again and again, as long as a holder waits for work from inside it. */
  watch(): void {
    if (this.#timer !== undefined) return;
    // It holds the process: what stands still would otherwise end it before that is told.
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#look();
    }, LOOK_INTERVAL);
  }

  /** To be called when nothing runs: no timer is left then. */
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
