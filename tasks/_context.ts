import type { TaskContext } from "./task.ts";

/** The context of one body, from its call to its end. */
export class BodyContext implements TaskContext {
  /** Called when the body has ended, for the code that has aborted it. */
  onEnd: (() => void) | undefined = undefined;
  #controller: AbortController | undefined = undefined;
  #reason: unknown = undefined;
  #state: "running" | "aborted" | "ended" = "running";

  /** Made when it is first read: most tasks never look. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#state === "aborted") this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** The reason of its abort. */
  get reason(): unknown {
    return this.#reason;
  }

  /** Whether the body can know that it was aborted. */
  get wasRead(): boolean {
    return this.#controller !== undefined;
  }

  get hasEnded(): boolean {
    return this.#state === "ended";
  }

  abort(reason: unknown): void {
    if (this.#state !== "running") return;
    this.#state = "aborted";
    this.#reason = reason;
    this.#controller?.abort(reason);
  }

  end(): void {
    this.#state = "ended";
    this.onEnd?.();
  }
}
