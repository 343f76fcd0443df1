import { AsyncLocalStorage } from "node:async_hooks";
import type { Slots } from "./_slots.ts";

/** What nested work does: waits like any other, runs in the slot that it comes from, or is refused. */
export type NestedMode = "queue" | "inline" | "throw";

/** A task or an item runner that has slots, as what is called inside it knows it. */
export class SlotHolder {
  readonly guard: ReentrancyGuard;
  readonly weight: number;
  /** Whether it runs: what it has left behind is outside again. */
  isLive = false;
  /** How many entries that were queued from inside it wait for a slot. */
  waiting = 0;
  /** The slot that its nested work takes turns in; with `"inline"`, when there is such work. */
  inner: Slots | undefined = undefined;
  /** Called whenever that has become idle. */
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

  /** It has them no more. */
  leave(): void {
    this.isLive = false;
    this.guard.known -= this.weight;
    if (this.waiting > 0) this.guard.blocked -= this.weight;
  }
}

/** What is told when work from inside a task begins to wait. */
export interface NestingHost {
  onNestedWait(): void;
}

/** What calls a body. */
export interface BodyCaller {
  /** As what it calls is known by, if it is. */
  holder: SlotHolder | undefined;
  readonly weight: number;
}

/**
 * The holders that the present code is part of, at most one for each pool: its
 * own and those around it that still ran when it began. No holder refers to
 * another: a chain of tasks that submit their successors would be kept for ever.
 */
const storage = new AsyncLocalStorage<readonly SlotHolder[]>();
const NONE: readonly SlotHolder[] = [];

// The first tasks of a pool are marked, and later one in so many, until work has come from inside one.
const FIRST_MARKED = 2;
const MARKED_IN = 128;

/**
 * Knows whether a call comes from inside one of the pool's own tasks.
 *
 * To mark a task costs as much as all else about it: a new async context, some
 * 0.6 µs. An item runner is marked once for all its items. A call in the
 * synchronous part of a body is known anyway. As for the rest, a pool of which
 * nothing more depends on it than whether a standstill is noticed marks few
 * tasks until it has seen the first nested work, and all from then on.
 */
export class ReentrancyGuard {
  readonly mode: NestedMode;
  /** What calls a body at this moment. */
  calling: BodyCaller | undefined = undefined;
  /** How many slots have a known holder; how many of these wait for work from inside them. */
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

  /** Work from inside a task begins to wait. */
  nestedWaits(): void {
    this.#host.onNestedWait();
  }

  /** Whether the next task is to be marked. */
  marksNextTask(): boolean {
    const started = this.#started++;
    return this.#marksAll || started < FIRST_MARKED || started % MARKED_IN === 0;
  }

  /** Calls something as part of a task or an item runner, and hands it the holder. */
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

/** Keeps the caller's async context: what is returned calls its argument in it. */
export function captureContext(): (body: () => void) => void {
  return AsyncLocalStorage.snapshot();
}
