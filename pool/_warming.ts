/** A wish for resources to be opened in advance: how many dials are still to begin, and what has become of the others. */
export class Warming {
  /** Resolves to how many were opened, or rejects with the error of the first that could not be. */
  readonly done: Promise<number>;
  #wanted: number;
  #pending = 0;
  #opened = 0;
  #failures = 0;
  #state: "open" | "done" = "open";
  #resolve!: (opened: number) => void;
  #reject!: (error: unknown) => void;

  constructor(wanted: number) {
    this.#wanted = wanted;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#check();
  }

  /** Whether another dial is to begin. */
  get isWanting(): boolean {
    return this.#wanted > 0;
  }

  /** Whether it has been answered. */
  get isDone(): boolean {
    return this.#state === "done";
  }

  began(): void {
    this.#wanted--;
    this.#pending++;
  }

  opened(): void {
    this.#pending--;
    this.#opened++;
    this.#check();
  }

  /** A dial has failed. `mayRetry` says whether there may be another after so many failures. */
  failed(error: unknown, mayRetry: (failures: number) => boolean): void {
    this.#pending--;
    if (this.isDone) return;
    if (mayRetry(++this.#failures)) this.#wanted++;
    else this.giveUp(error);
  }

  /** There is no room for more: what has been opened is enough. */
  curtail(): void {
    this.#wanted = 0;
    this.#check();
  }

  giveUp(error: unknown): void {
    this.#wanted = 0;
    this.#state = "done";
    this.#reject(error);
  }

  #check(): void {
    if (this.#wanted > 0 || this.#pending > 0) return;
    this.#state = "done";
    this.#resolve(this.#opened);
  }
}
