/** Runs one operation at a time, in order of arrival. */
export class AsyncMutex {
  /** A field, not a getter, since it is read at every socket read. */
  state: "free" | "busy" = "free";
  /** Created when first needed: few sockets have concurrent reads. */
  #queue: (() => void)[] | undefined = undefined;

  get isBusy(): boolean {
    return this.state === "busy";
  }

  get waiting(): number {
    return this.#queue?.length ?? 0;
  }

  /** Returns undefined if the operation may begin at once, else a promise to await. */
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
