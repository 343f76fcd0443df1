/** One operation at a time, the others in the order in which they came. */
export class AsyncMutex {
  /** A field, not a getter: it is asked at every read. */
  state: "free" | "busy" = "free";
  /** Made when first needed: hardly any socket has two who read at once. */
  #queue: (() => void)[] | undefined = undefined;

  get isBusy(): boolean {
    return this.state === "busy";
  }

  get waiting(): number {
    return this.#queue?.length ?? 0;
  }

  /** Answers undefined if the operation may begin at once, else a promise to wait for. */
  enter(): Promise<void> | undefined {
    if (this.state === "busy") {
      const queue = this.#queue ??= [];
      return new Promise((resolve) => queue.push(resolve));
    }
    this.state = "busy";
  }

  /** The operation has ended: the next may begin. */
  leave(): void {
    const next = this.#queue?.shift();
    if (next === undefined) this.state = "free";
    else next();
  }
}
