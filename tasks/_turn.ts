import { latestResolve, newPromise } from "./_deferred.ts";
import type { Claim } from "./_claim.ts";
import type { Segment } from "./_segment.ts";

/**
 * What settles a claim's answer, from the moment that its turn is near. A
 * promise reaction returns it as a thenable, and so it gets the answer's own
 * `resolve` and `reject`, in the async context in which the claim came.
 */
export class Turn implements PromiseLike<unknown> {
  resolve!: (value: unknown) => void;
  reject!: (reason: unknown) => void;
  /** Has the claim called, in its async context. Undefined as long as it cannot be. */
  begin: ((segment: Segment) => void) | undefined = undefined;
  readonly #claim: Claim;

  constructor(claim: Claim) {
    this.#claim = claim;
  }

  then(resolve: unknown, reject: unknown): Promise<never> {
    this.resolve = resolve as (value: unknown) => void;
    this.reject = reject as (reason: unknown) => void;
    this.#claim.awake(this);
    return undefined as never; // nobody looks
  }

  /** Keeps the present async context for `call`. */
  await(call: (segment: Segment) => void): void {
    newPromise<Segment>().then(call);
    this.begin = latestResolve();
  }
}
