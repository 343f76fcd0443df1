import type { VirtualTime } from "./virtual_time.ts";

/** More calls than this in one step are a storm. */
const STORM = 2_000;

/** What a run has seen: the order of events, the first broken law, and, if asked for, every event in words. */
export class Journal {
  /** The number of the latest event. */
  seq = 0;
  step = 0;
  violation: string | undefined;
  /** Whether something the pool called has called it back in this step. */
  meddled = false;
  /** Whether there is another event in this step. */
  joined = false;
  /** What the next hooks and connector calls are to do before they return. */
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

  /** Notes that something has happened; `line` is made only for a trace. */
  note(line?: () => string): void {
    this.seq++;
    if (line !== undefined) this.lines?.push(line());
  }

  get isTangled(): boolean {
    return this.meddled || this.joined;
  }

  /** Whether so much has happened in this step that it will never end. */
  get isStorm(): boolean {
    if (this.seq - this.#stepBegan < STORM) return false;
    this.violate("the pool comes to no rest");
    return true;
  }

  violate(law: string): void {
    if (this.violation !== undefined) return;
    this.violation = law;
    this.lines?.push(`!! ${law}`);
  }

  /** Lets the code that the pool has called do what it is armed with. */
  meddle(): void {
    const action = this.armed.shift();
    if (action === undefined) return;
    this.meddled = true;
    action();
  }
}
