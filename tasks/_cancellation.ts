import type { BodyContext } from "./_context.ts";
import type { Job } from "./_job.ts";
import type { TaskRun } from "./_task_run.ts";
import type { TimeLimits } from "./_time_limits.ts";
import type { CancelReport } from "./task_handle.ts";

/** How long a body that has looked at its signal may take to end before it counts as having ignored it. */
const GRACE = 100;

/** Waits for the bodies of cancelled tasks, as long as they may obey their signal. */
export class Cancellation {
  readonly #limits: TimeLimits;
  readonly #bodies: BodyContext[] = [];
  readonly #outcomes: Promise<PromiseSettledResult<unknown>>[] = [];
  #requested = 0;

  constructor(limits: TimeLimits) {
    this.#limits = limits;
  }

  cancelRun(run: TaskRun<unknown>, reason: unknown): void {
    const isNews = run.cancel(reason);
    this.#outcomes.push(run.outcome());
    if (!isNews) return;
    this.#requested++;
    if (run.context !== undefined) this.#bodies.push(run.context);
  }

  cancelJob(job: Job, reason: unknown): void {
    const { bodies } = job;
    this.#requested += bodies.length;
    for (const body of bodies) this.#bodies.push(body);
    job.cancel(reason);
  }

  async finish(): Promise<CancelReport> {
    const results = await Promise.all(this.#outcomes);
    const listening = this.#bodies.filter((body) => body.wasRead && !body.hasEnded);
    if (listening.length > 0) await this.#allEnded(listening);
    const ignored = this.#bodies.filter((body) => !body.hasEnded).length;
    return { requested: this.#requested, cancelled: this.#requested - ignored, ignored, results };
  }

  /** Resolves when all have ended, or at the time limit. */
  #allEnded(bodies: BodyContext[]): Promise<void> {
    return new Promise((resolve) => {
      let left = bodies.length;
      const limit = this.#limits.set(GRACE, resolve);
      for (const body of bodies) {
        body.onEnd = () => {
          if (--left > 0) return;
          this.#limits.lift(limit);
          resolve();
        };
      }
    });
  }
}
