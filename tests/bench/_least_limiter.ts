/**
 * The least that bounds how many tasks run at once and answers with a promise. Each task
 * runs in the async context of its call, as an async function does by itself.
 */
export class LeastLimiter {
  #free: number;
  #queue: (() => void)[] = [];
  #first = 0;

  constructor(size: number) {
    this.#free = size;
  }

  async run<R>(task: () => Promise<R>): Promise<R> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#queue.push(resolve));
    try {
      return await task();
    } finally {
      this.#next();
    }
  }

  #next(): void {
    const next = this.#queue[this.#first];
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#first++;
    if (this.#first === this.#queue.length) {
      this.#queue = [];
      this.#first = 0;
    }
    next();
  }
}
