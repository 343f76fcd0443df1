import { SharedTimer } from "../internal/shared_timer.ts";
import { Backoff } from "../internal/backoff.ts";
import type { RetryOptions } from "./options.ts";

/**
 * - `open`: the server answers, as far as is known: any number may dial
 * - `waiting`: a dial has failed: nobody dials before the delay is over
 * - `due`: the delay is over: the next dial is the probe
 * - `probing`: the probe is in flight, alone
 * - `closed`: the pool is
 */
type ScheduleState = "open" | "waiting" | "due" | "probing" | "closed";

/**
 * When a pool may dial after a failure: one schedule of exponential delays for
 * all its callers, so that a server that is down sees one probe at a time, and
 * the first success lets all through.
 */
export class RetrySchedule {
  readonly #backoff: Backoff;
  readonly #clock: () => number;
  readonly #alarm: SharedTimer;
  #state: ScheduleState = "open";
  #probe = 0;

  constructor(options: Required<RetryOptions>, clock: () => number, onDue: () => void) {
    this.#backoff = new Backoff(options);
    this.#clock = clock;
    this.#alarm = new SharedTimer(clock, () => {
      this.#state = "due";
      onDue();
    }, false);
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  /** Whether one who heeds the schedule may dial now. */
  get ready(): boolean {
    return this.#state === "open" || this.#state === "due";
  }

  /** A dial begins. Answers the number of the probe that it is, or 0. */
  started(): number {
    if (this.#state !== "due") return 0;
    this.#state = "probing";
    return ++this.#probe;
  }

  succeeded(): void {
    if (this.#state === "closed") return;
    this.#state = "open";
    this.#backoff.reset();
    this.#alarm.clear();
  }

  /** A dial has failed, which was this probe or none. Answers whether it is what all were waiting for. */
  failed(probe: number): boolean {
    const isAwaited = this.#state === "probing" && probe === this.#probe;
    if (isAwaited || this.#state === "open") this.postpone();
    return isAwaited;
  }

  /** Lets nobody dial for a while, longer each time until a success. */
  postpone(): void {
    if (this.#state === "closed") return;
    this.#state = "waiting";
    this.#alarm.fireBy(this.#clock() + this.#backoff.next());
  }

  /** Whether the wait keeps the process alive: while somebody waits for its end. */
  hold(holding: boolean): void {
    this.#alarm.setRef(holding);
  }

  close(): void {
    this.#state = "closed";
    this.#alarm.clear();
  }
}
