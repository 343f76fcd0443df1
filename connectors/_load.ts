/** For how long, in milliseconds, a resource has to last before its loss is nothing to wonder at. */
const BRIEF = 1_000;

/** How much an endpoint has to carry: what is open, what is being dialled, and what is about to be. */
export class Load {
  open = 0;
  connecting = 0;
  waiting = 0;
  /** Until when the losses of resources that did not last count; in order. */
  readonly #losses: number[] = [];

  /**
   * What to spread by. A resource that was lost soon after its opening counts
   * for a while longer: else one endpoint that hangs up on whoever comes would
   * always have the fewest, and draw all dials.
   */
  at(now: number): number {
    const losses = this.#losses;
    while (losses.length > 0 && losses[0]! <= now) losses.shift();
    return this.open + this.connecting + this.waiting + losses.length;
  }

  /** A resource that was opened then was lost now. */
  lost(openedAt: number, now: number): void {
    if (now - openedAt < BRIEF) this.#losses.push(now + BRIEF);
  }

  /** Whoever is known to be down needs no other reason not to be dialled. */
  forgetLosses(): void {
    this.#losses.length = 0;
  }
}
