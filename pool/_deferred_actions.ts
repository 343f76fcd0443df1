/**
 * Decided actions that are still to be run. An action may add more, or call the pool again:
 * all are run in order, by the outermost run.
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
   * Runs all actions, including those added meanwhile. Returns whether there were any that an
   * outer run does not run already.
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
