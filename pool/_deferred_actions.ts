/**
 * What has been decided and is still to be done. An action may decide more, or
 * call the pool again: all of it is done in order, by the outermost run.
 */
export class DeferredActions {
  #actions: (() => void)[] = [];
  #state: "resting" | "running" = "resting";

  get isEmpty(): boolean {
    return this.#actions.length === 0;
  }

  add(action: () => void): void {
    this.#actions.push(action);
  }

  /**
   * Does everything that was added, and what is added meanwhile. Returns whether
   * there was anything to do that an outer run does not do already.
   */
  run(): boolean {
    if (this.#state === "running" || this.#actions.length === 0) return false;
    this.#state = "running";
    for (let i = 0; i < this.#actions.length; i++) perform(this.#actions[i]!);
    this.#actions = [];
    this.#state = "resting";
    return true;
  }
}

/** An action that throws is a defect of this module: the error is thrown where the runtime reports it. */
function perform(action: () => void): void {
  try {
    action();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
