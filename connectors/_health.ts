import { Backoff, type BackoffOptions } from "../internal/backoff.ts";

/**
 * - `up`: its last dial succeeded, or there has been none
 * - `down`: its last dial failed; when the delay is over, the next is the probe
 * - `probing`: the probe is in flight, alone
 * - `doubtful`: the same, and it takes so long that nobody hopes for it any more
 */
type HealthState = "up" | "down" | "probing" | "doubtful";

/**
 * Whether an endpoint is worth dialling. It goes by the clock alone, where the
 * pool's own schedule has a timer: nobody tells a connector that it is no
 * longer needed, and nothing must be left behind then.
 */
export class Health {
  readonly #backoff: Backoff;
  #state: HealthState = "up";
  #dueAt = 0;
  #probe = 0;
  #onNews: (() => void)[] = [];
  /** Why it is not up. */
  error: unknown = undefined;

  constructor(delays: BackoffOptions) {
    this.#backoff = new Backoff(delays);
  }

  get isUp(): boolean {
    return this.#state === "up";
  }

  /** Whether it will soon be known if it is up. */
  get isHopeful(): boolean {
    return this.#state === "probing";
  }

  /** Whether this dial is the one that is to find out. */
  isProbedBy(probe: number): boolean {
    return (this.#state === "probing" || this.#state === "doubtful") && probe === this.#probe;
  }

  /** Whether it may be dialled as those that are up are. */
  isReady(now: number): boolean {
    return this.#state === "up" || this.#state === "down" && now >= this.#dueAt;
  }

  /** A dial begins. Answers the number of the probe that it is, or 0. */
  began(now: number): number {
    if (this.#state !== "down" || now < this.#dueAt) return 0;
    this.#state = "probing";
    return ++this.#probe;
  }

  /** Has somebody told, once, when there is no use in waiting for the probe any longer. */
  awaitNews(onNews: () => void): void {
    this.#onNews.push(onNews);
  }

  succeeded(): void {
    this.error = undefined;
    this.#backoff.reset();
    this.#turn("up");
  }

  /** A dial failed, which was this probe or none. Of those that fail together only the first counts. */
  failed(probe: number, error: unknown, now: number): void {
    if (this.#state !== "up" && !this.isProbedBy(probe)) return;
    this.error = error;
    this.#dueAt = now + this.#backoff.next();
    this.#turn("down");
  }

  /** A dial was given up before it could tell anything: if it was the probe, the next one is. */
  abandoned(probe: number): void {
    if (this.isProbedBy(probe)) this.#turn("down");
  }

  /** A dial takes long. */
  doubted(probe: number): void {
    if (this.isProbedBy(probe)) this.#turn("doubtful");
  }

  #turn(state: HealthState): void {
    this.#state = state;
    for (const onNews of this.#onNews.splice(0)) onNews();
  }
}
