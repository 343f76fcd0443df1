import { Deferred } from "./_promises.ts";
import { Job, type JobHost, type JobPlan } from "./_job.ts";
import { giveOut } from "./_unread_failures.ts";

/** A map: all results, in the order of the items, or the first failure. */
export class MapJob<T, R> extends Job<T, R> {
  readonly #answer = new Deferred<unknown[]>();
  readonly #results: unknown[] = [];
  readonly #settles: boolean;

  /** `settles`: whether a failure is a result like any other. */
  constructor(host: JobHost, plan: JobPlan<T, R>, settles: boolean) {
    super(host, plan);
    this.#settles = settles;
  }

  start(): Promise<unknown[]> {
    giveOut(this.#answer.promise);
    try {
      this.locate();
      this.host.jobBegins(this as unknown as Job);
    } catch (error) {
      this.#fail(error); // it has opened its input
    }
    this.seekWork();
    return this.#answer.promise;
  }

  get isBusy(): boolean {
    return true;
  }

  override sourceFailed(reason: unknown): void {
    this.#fail(reason);
  }

  override cancel(reason: unknown): void {
    if (this.phase === "over") return;
    this.finishEarly(reason);
    this.#answer.reject(reason);
  }

  protected override get mayPull(): boolean {
    return this.active < this.slots.size;
  }

  protected override itemDone(index: number, value: R): void {
    this.#results[index] = this.#settles ? { index, status: "fulfilled", value } : value;
  }

  protected override itemFailed(index: number, reason: unknown): void {
    if (this.#settles) this.#results[index] = { index, status: "rejected", reason };
    else this.#fail(reason);
  }

  protected override review(): void {
    if (this.phase === "over" || !this.source.isDone || this.settled < this.pulled) return;
    this.finish();
    this.#answer.resolve(this.#results);
  }

  #fail(reason: unknown): void {
    if (this.phase === "over") return;
    this.finishEarly(reason);
    this.host.failures.reject(this.#answer as Deferred<unknown>, reason);
  }
}
