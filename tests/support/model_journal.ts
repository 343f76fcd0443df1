import type { VirtualTime } from "./virtual_time.ts";

/** More calls than this in one step are a storm. */
const STORM = 2_000;

/** The record of a run: the order of events, the first broken law and, if requested, every event in words. */
export class Journal {
  /** The number of the latest event. */
  seq = 0;
  step = 0;
  violation: string | undefined;
  /** Whether a callback of the pool has called the pool in this step. */
  meddled = false;
  /** Whether there is another event in this step. */
  joined = false;
  /** Actions for the next hooks and connector calls, done before they return. */
  readonly armed: (() => void)[] = [];
  readonly lines: string[] | undefined;
  #stepBegan = 0;

  constructor(readonly time: VirtualTime, isTracing: boolean) {
    this.lines = isTracing ? [] : undefined;
  }

  beginStep(): void {
    this.step++;
    this.#stepBegan = this.seq;
    this.meddled = this.joined = false;
  }

  /** Records an event; `line` is called only for a trace. */
  note(line?: () => string): void {
    this.seq++;
    if (line !== undefined) this.lines?.push(line());
  }

  get isTangled(): boolean {
    return this.meddled || this.joined;
  }

  /** Whether there were so many events in this step that it will never end. */
  get isStorm(): boolean {
    if (this.seq - this.#stepBegan < STORM) return false;
    this.violate("the pool does not come to rest");
    return true;
  }

  violate(law: string): void {
    if (this.violation !== undefined) return;
    this.violation = law;
    this.lines?.push(`!! ${law}`);
  }

  /** Runs the armed action inside code that the pool has called. */
  meddle(): void {
    const action = this.armed.shift();
    if (action === undefined) return;
    this.meddled = true;
    action();
  }
}
