import { Alarm } from "./_alarm.ts";
import type { Broker } from "./_broker.ts";
import type { Lease } from "./lease.ts";
import type { CloseOptions } from "./options.ts";

const DEFAULT_TIMEOUT = 10_000;

/** The closing of a pool: gentle until the earliest deadline given, then by force. */
export class Shutdown<T, L extends Lease<T>> {
  /** Fulfilled when nothing is left; never rejected. */
  readonly done: Promise<void>;
  readonly #broker: Broker<T, L>;
  readonly #clock: () => number;
  readonly #alarm: Alarm;
  readonly #end = new AbortController();

  constructor(broker: Broker<T, L>, clock: () => number) {
    this.#broker = broker;
    this.#clock = clock;
    this.#alarm = new Alarm(clock, () => broker.force(false), true);
    this.done = new Promise((resolve) => {
      broker.shutDown(() => {
        this.#alarm.clear();
        this.#end.abort();
        resolve();
      });
    });
  }

  /** Sets the manner of closing; a later call can only hasten it. */
  hasten({ timeout = DEFAULT_TIMEOUT, force = false, signal }: CloseOptions): void {
    if (this.#end.signal.aborted) return;
    if (force || signal?.aborted) return this.#broker.force(true);
    signal?.addEventListener("abort", () => this.#broker.force(true), {
      once: true,
      signal: this.#end.signal,
    });
    this.#alarm.setBy(this.#clock() + timeout);
  }
}
