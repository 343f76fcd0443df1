import { AsyncLocalStorage } from "node:async_hooks";
import type { Slots } from "./_slots.ts";

/** The treatment of nested work: it waits like any other, runs in its parent's slot, or is refused. */
export type NestedMode = "queue" | "inline" | "throw";

/** A task or an item runner with slots, as seen by nested calls. */
export class SlotHolder {
  readonly guard: ReentrancyGuard;
  readonly weight: number;
  /** Whether it runs: code that outlives it does not count as inside. */
  isLive = false;
  /** The number of waiting entries that were queued from inside it. */
  waiting = 0;
  /** The slot for its nested work, with `"inline"`, when there is such work. */
  inner: Slots | undefined = undefined;
  /** Called whenever that slot has become idle. */
  onInnerIdle: () => void = () => {};

  constructor(guard: ReentrancyGuard, weight: number) {
    this.guard = guard;
    this.weight = weight;
  }

  /** Work from inside it is queued. */
  queued(): void {
    if (this.waiting++ === 0 && this.isLive) this.guard.blocked += this.weight;
    this.guard.nestedWaits();
  }

  /** Work from inside it waits no more. */
  unqueued(): void {
    if (--this.waiting === 0 && this.isLive) this.guard.blocked -= this.weight;
  }

  /** It has its slots. */
  enter(): void {
    this.isLive = true;
    this.guard.known += this.weight;
    if (this.waiting > 0) this.guard.blocked += this.weight;
  }

  /** It has given them back. */
  leave(): void {
    this.isLive = false;
    this.guard.known -= this.weight;
    if (this.waiting > 0) this.guard.blocked -= this.weight;
  }
}

/** Called when nested work begins to wait. */
export interface NestingHost {
  onNestedWait(): void;
}

/** What calls a body. */
export interface BodyCaller {
  /** The holder of its calls, if it is known. */
  holder: SlotHolder | undefined;
  readonly weight: number;
}

/**
 * The holders of the present code, at most one for each pool: its own and those around it
 * that still ran when it began. No holder refers to another: a chain of tasks that submit
 * each other would never be collected.
 */
const storage = new AsyncLocalStorage<readonly SlotHolder[]>();
const NONE: readonly SlotHolder[] = [];

// The first tasks of a pool are marked, later ones by sampling, until there is nested work.
const FIRST_MARKED = 2;
const MARKED_IN = 128;

/**
 * Knows whether a call comes from inside one of the pool's own tasks.
 *
 * Marking a task costs as much as the rest of it: a new async context takes some 0.6 µs. An
 * item runner is marked once for all its items. A call in the synchronous part of a body is
 * known without a mark. A pool that needs the marks only to notice a standstill marks few
 * tasks until it has seen the first nested work, and all from then on.
 */
export class ReentrancyGuard {
  readonly mode: NestedMode;
  /** The caller of a body at this moment. */
  calling: BodyCaller | undefined = undefined;
  /** The number of slots with a known holder, and how many of these wait for their nested work. */
  known = 0;
  blocked = 0;
  readonly #host: NestingHost;
  #marksAll: boolean;
  #started = 0;

  constructor(mode: NestedMode, host: NestingHost) {
    this.mode = mode;
    this.#host = host;
    this.#marksAll = mode !== "queue";
  }

  /** Nested work begins to wait. */
  nestedWaits(): void {
    this.#host.onNestedWait();
  }

  /** Whether the next task is to be marked. */
  marksNextTask(): boolean {
    const started = this.#started++;
    return this.#marksAll || started < FIRST_MARKED || started % MARKED_IN === 0;
  }

  /** Calls a function as part of a task or an item runner, and passes it the holder. */
  mark<A>(body: (argument: A, holder: SlotHolder) => void, argument: A, weight: number): void {
    const around = storage.getStore() ?? NONE;
    const outer = around.filter((holder) => holder.isLive && holder.guard !== this);
    const holder = new SlotHolder(this, weight);
    holder.enter();
    storage.run([holder, ...outer], body, argument, holder);
  }

  /** The running task or item runner that the caller is known to be part of. */
  get holder(): SlotHolder | undefined {
    const around = storage.getStore();
    return this.calling === undefined && around === undefined ? undefined : this.#find(around);
  }

  #find(around: readonly SlotHolder[] = NONE): SlotHolder | undefined {
    const found = this.calling === undefined
      ? around.find((holder) => holder.isLive && holder.guard === this)
      : this.#holderOf(this.calling);
    if (found !== undefined) this.#marksAll = true;
    return found;
  }

  #holderOf(caller: BodyCaller): SlotHolder {
    if (caller.holder === undefined) {
      caller.holder = new SlotHolder(this, caller.weight);
      caller.holder.enter();
    }
    return caller.holder;
  }
}

/** Keeps the caller's async context: the result calls its argument in it. */
export function captureContext(): (body: () => void) => void {
  return AsyncLocalStorage.snapshot();
}
