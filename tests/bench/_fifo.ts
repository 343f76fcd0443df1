/**
 * The floor for pools: a queue of promises over an array. It opens nothing, closes
 * nothing, and has no timeouts.
 */
export class Fifo<T> {
  readonly #idle: T[];
  #line: ((resource: T) => void)[] = [];
  #first = 0;

  constructor(resources: T[]) {
    this.#idle = resources;
  }

  acquire(): Promise<T> {
    const resource = this.#idle.pop();
    if (resource !== undefined) return Promise.resolve(resource);
    return new Promise((resolve) => this.#line.push(resolve));
  }

  /** A caller whose signal is aborted rejects, but keeps its place in the queue. */
  acquireWith(signal: AbortSignal): Promise<T> {
    if (signal.aborted) return Promise.reject(signal.reason);
    const resource = this.#idle.pop();
    if (resource !== undefined) return Promise.resolve(resource);
    return new Promise((resolve, reject) => {
      const abort = () => reject(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      this.#line.push((resource) => {
        if (signal.aborted) return this.release(resource);
        signal.removeEventListener("abort", abort);
        resolve(resource);
      });
    });
  }

  tryAcquire(): T | undefined {
    return this.#idle.pop();
  }

  release(resource: T): void {
    const next = this.#line[this.#first];
    if (next === undefined) {
      this.#idle.push(resource);
      return;
    }
    this.#first++;
    if (this.#first === this.#line.length) {
      this.#line = [];
      this.#first = 0;
    }
    next(resource);
  }
}
