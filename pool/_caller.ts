import type { Bounded } from "./_deadlines.ts";
import type { Numbered } from "./_queue.ts";
import type { Slot } from "./_slot.ts";
import type { Lease } from "./lease.ts";

/** What a caller wants: any resource, or an unused one. */
export type CallerKind = "any" | "fresh";

/** What a caller asks for. */
export interface Request {
  readonly kind: CallerKind;
  readonly signal: AbortSignal | undefined;
  /** In milliseconds. */
  readonly timeout: number;
  /** Whether to wait in line, or only for what can be made ready at once. */
  readonly queues: boolean;
}

/** One who waits for the pool's answer. There may be very many: it has no field that can be done without. */
export class Caller<T> implements Numbered, Bounded {
  readonly request: Request;
  readonly deadline: number;
  /** Its place among the callers of all pools: those who came later have higher numbers. */
  readonly number: number;
  /** The slot that is being made ready for it. */
  slot: Slot<T> | undefined = undefined;
  /** How it is answered, until it has been. */
  resolve: ((lease: Lease<T>) => void) | undefined;
  reject: ((error: unknown) => void) | undefined;

  constructor(
    request: Request,
    now: number,
    number: number,
    resolve: (lease: Lease<T>) => void,
    reject: (error: unknown) => void,
  ) {
    this.request = request;
    this.deadline = now + request.timeout;
    this.number = number;
    this.resolve = resolve;
    this.reject = reject;
  }

  get kind(): CallerKind {
    return this.request.kind;
  }

  get signal(): AbortSignal | undefined {
    return this.request.signal;
  }

  get settled(): boolean {
    return this.resolve === undefined;
  }

  /** What is being done for it, if anything. */
  get stage(): "connect" | "check" | undefined {
    if (this.slot === undefined) return undefined;
    return this.slot.state === "connecting" ? "connect" : "check";
  }
}
