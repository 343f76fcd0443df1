/** One operation at a time, the others in the order in which they came. */
export class Lane {
  #state: "free" | "busy" = "free";
  readonly #queue: (() => void)[] = [];

  get isBusy(): boolean {
    return this.#state === "busy";
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /** Answers undefined if the operation may begin at once, else a promise to wait for. */
  enter(): Promise<void> | undefined {
    if (this.#state === "busy") return new Promise((resolve) => this.#queue.push(resolve));
    this.#state = "busy";
  }

  /** The operation has ended: the next may begin. */
  leave(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#state = "free";
    else next();
  }
}
