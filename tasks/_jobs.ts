import type { Job } from "./_job.ts";

/** A job as its pool knows it: held only while somebody waits for it. */
export class JobRef {
  readonly signal: AbortSignal | undefined;
  readonly jobs: Jobs;
  /** The job, as long as somebody waits for it. */
  busy: Job | undefined = undefined;
  readonly #job: WeakRef<Job>;

  constructor(job: Job, jobs: Jobs) {
    this.jobs = jobs;
    this.#job = new WeakRef(job);
    this.signal = job.signal;
  }

  get job(): Job | undefined {
    return this.busy ?? this.#job.deref();
  }

  cancel(reason: unknown): void {
    this.job?.cancel(reason);
  }
}

/**
 * The jobs of a pool. A stream that rests is its consumer's alone: when that has
 * forgotten it, the garbage collector takes it, and nothing remains here.
 */
export class Jobs {
  /** How many somebody waits for. */
  busy = 0;
  readonly #refs = new Set<JobRef>();
  readonly #onCollected: (ref: JobRef) => void;

  /** `onCollected`: called when a job that was not over has been collected. */
  constructor(onCollected: (ref: JobRef) => void) {
    this.#onCollected = onCollected;
  }

  get size(): number {
    return this.#refs.size;
  }

  /** Those that are not over. */
  get all(): Job[] {
    return [...this.#refs].map(({ job }) => job).filter((job) => job !== undefined);
  }

  add(job: Job): JobRef {
    const ref = job.ref = new JobRef(job, this);
    this.#refs.add(ref);
    collected.register(job, ref, ref);
    this.update(job);
    return ref;
  }

  /** Answers whether somebody waits for it who did not before, or the other way round. */
  update(job: Job): boolean {
    const { ref } = job;
    if (ref === undefined || job.isBusy === (ref.busy !== undefined)) return false;
    this.#setBusy(ref, job.isBusy ? job : undefined);
    return true;
  }

  delete(job: Job): void {
    const { ref } = job;
    if (ref === undefined) return;
    job.ref = undefined;
    this.#refs.delete(ref);
    collected.unregister(ref);
    if (ref.busy !== undefined) this.#setBusy(ref, undefined);
  }

  /** To be told when a job has been collected. */
  forget(ref: JobRef): void {
    this.#refs.delete(ref);
    this.#onCollected(ref);
  }

  #setBusy(ref: JobRef, job: Job | undefined): void {
    ref.busy = job;
    this.busy += job === undefined ? -1 : 1;
  }
}

// One for all pools: a registry for each would burden every garbage collection.
const collected = new FinalizationRegistry<JobRef>((ref) => ref.jobs.forget(ref));
