/**
 * The least that could be called a pool: a line of promises over an array. It
 * opens nothing, closes nothing, and knows no limit of time.
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

  tryAcquire(): T | undefined {
    return this.#idle.pop();
  }

  release(resource: T): void {
    if (this.#first === this.#line.length) {
      this.#idle.push(resource);
      return;
    }
    const next = this.#line[this.#first++]!;
    if (this.#first === this.#line.length) {
      this.#line = [];
      this.#first = 0;
    }
    next(resource);
  }
}
