import { RetrySchedule } from "./_retry_schedule.ts";
import { Slot, type SlotOwner } from "./_slot.ts";
import type { Connector } from "./connector.ts";
import type { Lease } from "./lease.ts";
import type { ResolvedPoolOptions } from "./options.ts";
import { Semaphore } from "./semaphore.ts";

/**
 * Decides whether one more resource may be opened. A slot holds a permit of
 * the capacity for as long as it exists, which is what bounds the pool; while
 * its dial is in flight it holds a dial permit besides.
 */
export class Dialler<T, L extends Lease<T>> {
  readonly #connector: Connector<T, L>;
  readonly #attempts: number;
  readonly #schedule: RetrySchedule;
  readonly #capacity: Semaphore;
  readonly #dials: Semaphore;
  #isLastFailureFinal = false;

  /** `onDue` is called when those may dial again who had to wait for the schedule. */
  constructor(connector: Connector<T, L>, options: ResolvedPoolOptions, onDue: () => void) {
    this.#connector = connector;
    this.#attempts = options.retry.attempts;
    this.#schedule = new RetrySchedule(options.retry, options.clock, onDue);
    this.#capacity = new Semaphore(options.maxSize);
    this.#dials = new Semaphore(options.maxConnecting);
  }

  get maxSize(): number {
    return this.#capacity.permits;
  }

  /** How many more slots there may be. */
  get room(): number {
    return this.#capacity.available;
  }

  /** Whether a caller may dial now. One who gets a single attempt learns the truth at once. */
  get servesCallers(): boolean {
    return this.#attempts === 1 || this.#isLastFailureFinal || this.#schedule.ready;
  }

  /** Whether a dial may be made now that no caller waits for. */
  get servesBackground(): boolean {
    return this.#schedule.ready;
  }

  /** A slot for one more dial, if there is room for it. */
  open(owner: SlotOwner<T>): Slot<T> | undefined {
    const dialPermit = this.#dials.tryAcquire();
    if (dialPermit === undefined) return undefined;
    const permit = this.#capacity.tryAcquire();
    if (permit !== undefined) return new Slot(owner, permit, dialPermit, this.#schedule.started());
    dialPermit.release();
  }

  succeeded(slot: Slot<T>): void {
    slot.dialPermit.release();
    this.#schedule.succeeded();
  }

  failed(slot: Slot<T>, error: unknown): void {
    slot.dialPermit.release();
    this.#isLastFailureFinal = !this.#isRetryable(error);
    this.#schedule.failed(slot.isProbe);
  }

  /** Whether a caller who has seen so many dials fail, the last one just now, may hope for another. */
  mayRetry(failures: number): boolean {
    return failures < this.#attempts && !this.#isLastFailureFinal;
  }

  /** Whether the failure of this dial is that of all who wait for the schedule. */
  speaksForAll(slot: Slot<T>): boolean {
    return slot.isProbe && this.#attempts > 1;
  }

  resize(maxSize: number): void {
    this.#capacity.resize(maxSize);
  }

  /** Whether the schedule keeps the process alive: while somebody waits for it. */
  hold(holding: boolean): void {
    this.#schedule.hold(holding);
  }

  /** Stops the timer. */
  close(): void {
    this.#schedule.close();
  }

  #isRetryable(error: unknown): boolean {
    try {
      return this.#connector.isRetryable?.(error) ?? true;
    } catch {
      return false;
    }
  }
}
