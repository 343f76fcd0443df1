interface Job {
  /** The work done per job when this one ends. */
  readonly end: number;
  readonly onEnd: () => void;
}

/**
 * The processor of the server: it works on as many uses as it has cores at full speed.
 * More uses share it equally, and each takes longer.
 */
export class Processor {
  readonly #cores: number;
  readonly #now: () => number;
  /** Ordered by the end. */
  readonly #jobs: Job[] = [];
  /** The work done until `#updated` for a job that was there all the time. */
  #done = 0;
  #updated = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(cores: number, now: () => number) {
    this.#cores = cores;
    this.#now = now;
  }

  /** Works on a job that takes `duration` milliseconds at full speed. */
  run(work: number, onEnd: () => void): void {
    this.#update();
    const jobs = this.#jobs;
    const end = this.#done + work;
    let index = jobs.length;
    while (index > 0 && jobs[index - 1]!.end > end) index--;
    jobs.splice(index, 0, { end, onEnd });
    this.#awaitNext();
  }

  get #speed(): number {
    return Math.min(1, this.#cores / this.#jobs.length);
  }

  #update(): void {
    const now = this.#now();
    if (this.#jobs.length > 0) this.#done += (now - this.#updated) * this.#speed;
    this.#updated = now;
  }

  #awaitNext(): void {
    clearTimeout(this.#timer);
    const [next] = this.#jobs;
    if (next === undefined) return;
    const delay = Math.max(0, next.end - this.#done) / this.#speed;
    this.#timer = setTimeout(() => this.#end(next), delay);
  }

  #end({ end, onEnd }: Job): void {
    this.#update();
    this.#done = Math.max(this.#done, end); // else rounding could leave a rest
    this.#jobs.shift();
    this.#awaitNext();
    onEnd();
  }
}
