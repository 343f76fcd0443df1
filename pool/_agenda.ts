/**
 * What has been decided and is still to be done. An action may decide more, or
 * call the pool again from within: all of it is done in order, by the
 * outermost run.
 */
export class Agenda {
  #actions: (() => void)[] = [];
  #state: "resting" | "running" = "resting";

  get isEmpty(): boolean {
    return this.#actions.length === 0;
  }

  add(action: () => void): void {
    this.#actions.push(action);
  }

  /**
   * Does all that is noted, and what is noted meanwhile. Answers whether there
   * was anything to do that an outer run does not do already.
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

/** An action that throws is a fault of ours: it shows, and holds up nothing else. */
function perform(action: () => void): void {
  try {
    action();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
