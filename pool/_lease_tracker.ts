import { SharedTimer } from "../internal/shared_timer.ts";
import type { Slot, SlotTable } from "./_slot.ts";
import type { AcquireSite } from "./_wait_queue.ts";
import type { ResolvedPoolOptions } from "./options.ts";

/** The findings of the tracker. */
export interface TrackerEvents<T> {
  /** A lease has been held for longer than `leakTimeout`. */
  leaked(slot: Slot<T>, now: number): void;
  /** A lease was garbage-collected without having been released. */
  collected(slot: Slot<T>): void;
}

/** The tracked lease, as distinct from later leases of the same slot. */
interface Token<T> {
  readonly slot: Slot<T>;
  readonly uses: number;
}

/** Reports leases that are held for too long, and those that are lost. Holds them weakly. */
export class LeaseTracker<T> {
  readonly #options: ResolvedPoolOptions;
  readonly #slots: SlotTable<T>;
  readonly #events: TrackerEvents<T>;
  #timer: SharedTimer | undefined;
  #state: "open" | "closed" = "open";
  readonly #registry: FinalizationRegistry<Token<T>>;

  constructor(options: ResolvedPoolOptions, slots: SlotTable<T>, events: TrackerEvents<T>) {
    this.#options = options;
    this.#slots = slots;
    this.#events = events;
    this.#registry = new FinalizationRegistry(({ slot, uses }) => {
      if (slot.state === "leased" && slot.uses === uses) events.collected(slot);
    });
  }

  /** Where the caller is. */
  site(): AcquireSite {
    const site: { stack?: string; reported: boolean } = { reported: false };
    captureStack(site);
    return site;
  }

  begin(slot: Slot<T>, lease: object, site: AcquireSite): void {
    slot.acquiredAt = site;
    this.#registry.register(lease, { slot, uses: slot.uses }, slot);
    const { leakTimeout } = this.#options;
    if (leakTimeout < Infinity) this.#reportBy(slot.leasedAt + leakTimeout);
  }

  end(slot: Slot<T>): void {
    this.#registry.unregister(slot);
    slot.acquiredAt = undefined;
  }

  /** `leakTimeout` may be another than before. */
  review(): void {
    this.#reportLeaks();
  }

  /** Stops the timer for good: a hook may close the pool while leases are being reported. */
  close(): void {
    this.#state = "closed";
    this.#timer?.clear();
  }

  #reportLeaks(): void {
    const { clock, leakTimeout } = this.#options;
    const now = clock.wall();
    let next = Infinity;
    for (const slot of [...this.#slots]) {
      const site = slot.acquiredAt;
      if (slot.state !== "leased" || site === undefined || site.reported) continue;
      const due = slot.leasedAt + leakTimeout;
      if (due <= now) {
        site.reported = true;
        this.#events.leaked(slot, now);
      } else next = Math.min(next, due);
    }
    // Leases with close limits are checked together, since a check goes over all of them.
    if (next < Infinity) this.#reportBy(Math.max(next, now + leakTimeout / 10));
  }

  #reportBy(due: number): void {
    if (this.#state === "closed") return;
    this.#timer ??= new SharedTimer(this.#options.clock.wall, () => this.#reportLeaks(), false);
    this.#timer.fireBy(due);
  }
}

const { captureStackTrace } = Error as { captureStackTrace?: (target: object) => void };

function captureStack(target: { stack?: string }): void {
  if (captureStackTrace !== undefined) return captureStackTrace(target);
  const { stack } = new Error();
  if (stack !== undefined) target.stack = stack;
}
