import { closeResource, type ConnectContext } from "../pool/connector.ts";
import { setTimer, type Timer } from "../internal/timer.ts";
import { PoolTimeoutError } from "../pool/errors.ts";
import type { Endpoint } from "./_endpoint.ts";

// How long, in milliseconds, an endpoint that is thought to be down may keep
// callers before another one is dialled, for the first of them beside it.
const HEAD_START = 250;

/** What an attempt tells the one who began it. */
export interface AttemptEvents {
  /** It takes long: the next may begin beside it. */
  slow(): void;
  /** It has brought what is awaited. */
  opened(attempt: Attempt, resource: unknown): void;
  /** It is over, and has brought nothing. */
  ended(attempt: Attempt, error: unknown): void;
}

/**
 * - `awaited`: somebody waits for it
 * - `background`: nobody does any more; it goes on for what it tells of its endpoint
 * - `givenUp`: it has been told to stop
 * - `over`: it has settled
 */
type AttemptState = "awaited" | "background" | "givenUp" | "over";

/** One dial of one endpoint. */
export class Attempt {
  readonly endpoint: Endpoint;
  readonly #clock: () => number;
  readonly #events: AttemptEvents;
  readonly #probe: number;
  readonly #controller = new AbortController();
  readonly #timers: (Timer | undefined)[] = [];
  #state: AttemptState = "awaited";

  constructor(endpoint: Endpoint, turn: number, clock: () => number, events: AttemptEvents) {
    this.endpoint = endpoint;
    this.#clock = clock;
    this.#events = events;
    this.#probe = endpoint.health.began(clock());
    endpoint.load.connecting++;
    endpoint.lastTurn = turn;
  }

  /** Dials. An endpoint that does not answer within `attemptDelay` counts as down. */
  run(attemptDelay: number, call: ConnectContext): void {
    const { health } = this.endpoint;
    const headStart = health.isUp ? attemptDelay : Math.min(attemptDelay, HEAD_START);
    this.#connect(call).then((resource) => this.#opened(resource), (error) => this.#failed(error));
    this.#after(headStart, () => {
      health.doubted(this.#probe);
      this.#events.slow();
    });
    this.#after(attemptDelay, () => this.#overrun(attemptDelay));
  }

  /**
   * Nobody waits for it any more. A probe goes on: it would never find an
   * endpoint to be back that is slower to answer than the others.
   */
  dismiss(): void {
    if (this.endpoint.health.isProbedBy(this.#probe)) this.#state = "background";
    else this.abort(new Error("Another endpoint has answered"));
  }

  /** Whether it goes on unasked. */
  get isInBackground(): boolean {
    return this.#state === "background";
  }

  /** Tells it to stop. That its time is over speaks against the endpoint; nothing else does. */
  abort(reason: unknown): void {
    if (!this.#end("givenUp")) return;
    if (isTimeout(reason)) this.#blame(reason);
    else this.endpoint.health.abandoned(this.#probe);
    this.#controller.abort(reason);
  }

  async #connect(call: ConnectContext): Promise<unknown> {
    return await this.endpoint.connector.connect({ ...call, signal: this.#controller.signal });
  }

  #opened(resource: unknown): void {
    const isAwaited = this.#state === "awaited";
    this.#end("over");
    if (isAwaited) this.#events.opened(this, resource);
    else this.#close(resource).finally(() => this.#events.ended(this, undefined));
    this.endpoint.health.succeeded();
  }

  #failed(error: unknown): void {
    if (this.#end("over")) this.#blame(error);
    this.#events.ended(this, error);
  }

  #overrun(attemptDelay: number): void {
    const error = new DOMException(`No answer within ${attemptDelay} ms`, "TimeoutError");
    if (this.#state === "background") this.abort(error);
    else this.#blame(error);
  }

  #blame(error: unknown): void {
    this.endpoint.load.forgetLosses();
    this.endpoint.health.failed(this.#probe, error, this.#clock());
  }

  /** Closes what came too late. Nobody is there to be told that it would not close. */
  async #close(resource: unknown): Promise<void> {
    try {
      await closeResource(this.endpoint.connector, resource, "surplus");
    } catch {
      // as with what the pool itself has given up
    }
  }

  /** Answers whether it was still going on. */
  #end(state: "givenUp" | "over"): boolean {
    if (this.#state === "givenUp" || this.#state === "over") return false;
    this.#state = state;
    for (const timer of this.#timers) clearTimeout(timer);
    this.endpoint.load.connecting--;
    return true;
  }

  #after(delay: number, callback: () => void): void {
    if (this.#state === "awaited") this.#timers.push(setTimer(delay, callback));
  }
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof PoolTimeoutError ||
    reason instanceof DOMException && reason.name === "TimeoutError";
}
