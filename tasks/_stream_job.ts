import { Job, type JobHost, type JobPlan } from "./_job.ts";
import { attempt, Deferred, ignore } from "./_promises.ts";
import { EMPTY, ReorderBuffer } from "./_reorder_buffer.ts";
import { giveOut } from "./_unread_failures.ts";
import { cancelReason } from "./errors.ts";

/** The options of a stream's results. */
export interface StreamPlan {
  readonly order: "input" | "completion";
  readonly buffer: number;
  /** Whether a failure is a result like any other. */
  readonly settles: boolean;
}

/** A failure to be thrown. */
class Failure {
  readonly reason: unknown;

  constructor(reason: unknown) {
    this.reason = reason;
  }
}

const END = { done: true, value: undefined } as const;

/** A stream: results on request, with a bounded amount of work ahead. */
export class StreamJob<T, R> extends Job<T, R> {
  readonly #plan: StreamPlan;
  #ready = new ReorderBuffer<unknown>();
  readonly #requests = new ReorderBuffer<Deferred<IteratorResult<unknown>>>();
  /** The number of results so far. */
  #done = 0;
  /** The numbers of requested, of awaited and of given results. */
  #asked = 0;
  #waited = 0;
  #given = 0;
  #failure: Failure | undefined;
  /** Whether it is a cancellation, which is not reported as a failure. */
  #isCancelled = false;
  #state: "new" | "started" = "new";

  constructor(host: JobHost, plan: JobPlan<T, R>, streamPlan: StreamPlan) {
    super(host, plan);
    this.#plan = streamPlan;
  }

  next(): Promise<IteratorResult<unknown>> {
    if (this.#state === "new") this.#start();
    const result = this.#asked === this.#given ? this.#ready.take() : EMPTY;
    const answer = result === EMPTY ? this.#wait() : this.#handNow(result);
    this.seekWork();
    this.review();
    this.host.jobChanged(this as unknown as Job);
    return answer;
  }

  async stop(): Promise<IteratorResult<unknown>> {
    this.#state = "started";
    if (this.phase === "over") return END;
    this.#isCancelled = true;
    const closed = this.source.close();
    this.finishEarly(cancelReason());
    this.#end();
    await closed;
    return END;
  }

  get isBusy(): boolean {
    return this.#asked > this.#given;
  }

  override sourceFailed(reason: unknown): void {
    this.#failure ??= new Failure(reason);
    this.drain();
    this.review();
  }

  override cancel(reason: unknown): void {
    if (this.phase === "over") return;
    this.#isCancelled = true;
    this.#fail(reason);
  }

  protected override get mayPull(): boolean {
    return this.#state === "started" &&
      this.pulled - this.#given < this.slots.size + this.#plan.buffer;
  }

  protected override itemDone(index: number, value: R): void {
    this.#add(index, this.#plan.settles ? { index, status: "fulfilled", value } : value);
  }

  protected override itemFailed(index: number, reason: unknown): void {
    if (!this.#plan.settles) this.drain();
    const { settles } = this.#plan;
    this.#add(index, settles ? { index, status: "rejected", reason } : new Failure(reason));
  }

  protected override review(): void {
    if (this.phase === "over" || this.#given < this.pulled || !this.source.isDone) return;
    this.finish();
    this.#end();
  }

  #start(): void {
    this.#state = "started";
    try {
      this.locate();
      this.host.jobBegins(this as unknown as Job);
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(reason: unknown): void {
    if (this.phase === "over") return;
    this.#failure = new Failure(reason);
    this.finishEarly(reason);
    this.#end();
  }

  #wait(): Promise<IteratorResult<unknown>> {
    if (this.phase === "over") return this.#takeFailure() ?? Promise.resolve(END);
    const request = new Deferred<IteratorResult<unknown>>();
    this.#asked++;
    this.#requests.put(this.#waited++, request);
    return giveOut(request.promise);
  }

  #handNow(result: unknown): Promise<IteratorResult<unknown>> {
    if (result instanceof Failure) {
      this.#fail(result.reason);
      return this.#takeFailure()!;
    }
    this.#asked++;
    this.#given++;
    return Promise.resolve({ done: false, value: result });
  }

  #add(index: number, result: unknown): void {
    this.#ready.put(this.#plan.order === "input" ? index : this.#done++, result);
    while (this.#asked > this.#given) {
      const next = this.#ready.take();
      if (next === EMPTY) break;
      if (next instanceof Failure) return this.#fail(next.reason);
      this.#given++;
      this.#nextRequest().resolve({ done: false, value: next });
    }
    this.host.jobChanged(this as unknown as Job);
  }

  /** Settles all pending calls: the first with the failure, if there is one, the others with the end. */
  #end(): void {
    this.#ready = new ReorderBuffer();
    while (this.#asked > this.#given) {
      this.#given++;
      const failure = this.#failure;
      this.#failure = undefined;
      const request = this.#nextRequest() as Deferred<unknown>;
      if (failure === undefined) request.resolve(END);
      else this.#reject(request, failure.reason);
    }
  }

  #takeFailure(): Promise<never> | undefined {
    const failure = this.#failure;
    if (failure === undefined) return undefined;
    this.#failure = undefined;
    const request = new Deferred<unknown>();
    giveOut(request.promise);
    this.#reject(request, failure.reason);
    return request.promise as Promise<never>;
  }

  #reject(request: Deferred<unknown>, reason: unknown): void {
    if (!this.#isCancelled) return this.host.failures.reject(request, reason);
    request.promise.catch(ignore);
    request.resolve(Promise.reject(reason));
  }

  #nextRequest(): Deferred<IteratorResult<unknown>> {
    return this.#requests.take() as Deferred<IteratorResult<unknown>>;
  }
}

/** The consumer's view of a stream. */
export function iterate(
  job: Pick<StreamJob<unknown, unknown>, "next" | "stop">,
): AsyncIterableIterator<unknown> {
  return {
    next: () => job.next(),
    return: () => attempt(() => job.stop()),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
