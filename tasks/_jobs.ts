/** The known part of a job. */
interface RegisteredJob {
  readonly signal: AbortSignal | undefined;
  /** Whether it is awaited. */
  readonly isBusy: boolean;
  ref: JobRef | undefined;
  cancel(reason: unknown): void;
}

/** The pool's record of a job, which is held strongly only while it is awaited. */
export class JobRef {
  readonly signal: AbortSignal | undefined;
  readonly jobs: { forget(ref: JobRef): void };
  /** The job, while it is awaited. */
  busy: RegisteredJob | undefined = undefined;
  readonly #job: WeakRef<RegisteredJob>;

  constructor(job: RegisteredJob, jobs: { forget(ref: JobRef): void }) {
    this.jobs = jobs;
    this.#job = new WeakRef(job);
    this.signal = job.signal;
  }

  get job(): RegisteredJob | undefined {
    return this.busy ?? this.#job.deref();
  }

  cancel(reason: unknown): void {
    this.job?.cancel(reason);
  }
}

/**
 * The jobs of a pool. An idle stream is referenced by its consumer only: when that drops it,
 * it is collected, and nothing remains here.
 */
export class Jobs<J extends RegisteredJob> {
  /** The number of awaited jobs. */
  busy = 0;
  readonly #refs = new Set<JobRef>();
  readonly #onCollected: (ref: JobRef) => void;

  /** `onCollected` is called when a job that was not over has been collected. */
  constructor(onCollected: (ref: JobRef) => void) {
    this.#onCollected = onCollected;
  }

  get size(): number {
    return this.#refs.size;
  }

  /** Those that are not over. */
  get all(): J[] {
    return [...this.#refs].map(({ job }) => job as J | undefined).filter((job) =>
      job !== undefined
    );
  }

  add(job: J): JobRef {
    const ref = job.ref = new JobRef(job, this);
    this.#refs.add(ref);
    collected.register(job, ref, ref);
    this.update(job);
    return ref;
  }

  /** Returns whether it has changed between awaited and not awaited. */
  update(job: J): boolean {
    const { ref } = job;
    if (ref === undefined || job.isBusy === (ref.busy !== undefined)) return false;
    this.#setBusy(ref, job.isBusy ? job : undefined);
    return true;
  }

  delete(job: J): void {
    const { ref } = job;
    if (ref === undefined) return;
    job.ref = undefined;
    this.#refs.delete(ref);
    collected.unregister(ref);
    if (ref.busy !== undefined) this.#setBusy(ref, undefined);
  }

  /** Called when a job has been collected. */
  forget(ref: JobRef): void {
    this.#refs.delete(ref);
    this.#onCollected(ref);
  }

  #setBusy(ref: JobRef, job: J | undefined): void {
    ref.busy = job;
    this.busy += job === undefined ? -1 : 1;
  }
}

// One for all pools, since a registry for each would slow down every garbage collection.
const collected = new FinalizationRegistry<JobRef>((ref) => ref.jobs.forget(ref));
