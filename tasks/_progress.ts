import type { Observer } from "./_observer.ts";
import type { Progress } from "./options.ts";

/** Counts ended items, and reports each. */
export class ProgressCount {
  readonly #observer: Observer;
  readonly #report: (progress: Progress) => void;
  readonly #total: number | undefined;
  #done = 0;
  #failed = 0;

  constructor(observer: Observer, report: (progress: Progress) => void, items: unknown) {
    this.#observer = observer;
    this.#report = report;
    this.#total = sizeOf(items);
  }

  ended(end: "fulfilled" | "rejected"): void {
    this.#done++;
    if (end === "rejected") this.#failed++;
    const total = this.#total === undefined ? {} : { total: this.#total };
    const progress: Progress = { done: this.#done, failed: this.#failed, ...total };
    this.#observer.call(() => this.#report(progress));
  }
}

/** The number of items of arrays, sets, maps and the like. Strings iterate differently. */
function sizeOf(items: unknown): number | undefined {
  if (typeof items !== "object" || items === null) return undefined;
  const { length, size } = items as { length?: unknown; size?: unknown };
  const total = length ?? size;
  return typeof total === "number" && total >= 0 ? total : undefined;
}
