import { SharedTimer } from "../internal/shared_timer.ts";
import type { Broker } from "./_broker.ts";
import { PoolClosedError } from "./errors.ts";
import type { Lease } from "./lease.ts";
import type { CloseOptions } from "./options.ts";

const DEFAULT_TIMEOUT = 10_000;

// How long closes that were begun by force may take before they are given up.
const GRACE = 100;

/** The closing of a pool: gentle until the earliest deadline given, then by force. */
export class Shutdown<T, L extends Lease<T>> {
  /** Fulfilled when nothing is left; never rejected. */
  readonly done: Promise<void>;
  readonly #broker: Broker<T, L>;
  readonly #clock: () => number;
  readonly #alarm: SharedTimer;
  readonly #end = new AbortController();
  #state: "waiting" | "gentle" | "forced" | "done" = "waiting";
  #resolve!: (done: Promise<void>) => void;

  constructor(broker: Broker<T, L>, clock: () => number) {
    this.#broker = broker;
    this.#clock = clock;
    this.#alarm = new SharedTimer(clock, () => this.#ring(), true);
    this.done = new Promise((resolve) => this.#resolve = resolve);
  }

  begin(): void {
    if (this.#state !== "waiting") return;
    this.#state = "gentle";
    this.#broker.shutDown(() => {
      this.#state = "done";
      this.#alarm.clear();
      this.#end.abort();
      this.#resolve(Promise.resolve()); // those who were turned away hear of it before
    });
  }

  /** Sets the manner of closing; a later call can only hasten it. */
  hasten({ timeout = DEFAULT_TIMEOUT, force = false, signal }: CloseOptions): void {
    if (this.#state !== "gentle") return;
    if (force || signal?.aborted) return this.#force();
    signal?.addEventListener("abort", () => this.#force(), { signal: this.#end.signal });
    this.#alarm.fireBy(this.#clock() + timeout);
  }

  /** Closes begun before the deadline have had their time; those begun by force get some more. */
  #ring(): void {
    this.#abandonCloses();
    this.#force();
  }

  /** Waits no longer for borrowers, dials, checks and resets. */
  #force(): void {
    if (this.#state !== "gentle") return;
    this.#state = "forced";
    this.#alarm.fireBy(this.#clock() + GRACE);
    for (const slot of [...this.#broker.slots]) {
      const isCalling = slot.state === "connecting" || slot.state === "preparing";
      if (isCalling) slot.operation?.giveUp(new PoolClosedError());
      if (slot.state !== "connecting") this.#broker.retire(slot, "closed");
    }
    this.#broker.proceed();
  }

  #abandonCloses(): void {
    for (const slot of [...this.#broker.slots]) {
      if (slot.state === "closing") slot.operation?.giveUp(new PoolClosedError());
    }
  }
}
