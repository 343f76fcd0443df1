import type { WebSocketMessage } from "../websocket_messages.ts";
import type { MessageHandler } from "./message_queue.ts";
import { TimeLimit } from "./time_limit.ts";

/** Whether a message that nobody asked for may be dropped. */
export type Accept = (message: WebSocketMessage) => boolean;

/** How a connection is drained: the options, with their defaults. */
export interface DrainPlan {
  readonly timeout: number;
  readonly quiet: number;
  readonly accept: Accept;
}

/** How a peer is asked whether it works: the options, with their defaults. */
export interface PingPlan {
  readonly message: WebSocketMessage;
  readonly timeout: number;
  readonly isAnswer: (message: WebSocketMessage) => boolean;
}

/** The error for a message that nobody had asked for. */
export function unsolicited(): Error {
  return new Deno.errors.InvalidData("A message came that nobody had asked for");
}

/** An exchange with the peer between two borrowers. It ends once: done, or failed with a reason. */
abstract class MessageExchange implements MessageHandler {
  /** Settles when it ends. */
  readonly done: Promise<void>;
  /** Called in the moment in which it ends: what comes then is for the next handler. */
  onOver: () => void = () => {};
  #state: "running" | "over" = "running";
  readonly #signal: AbortSignal;
  readonly #limit: TimeLimit;
  readonly #late: string;
  #resolve!: () => void;
  #reject!: (reason: unknown) => void;

  /** It fails with the message `late` when the time is over, and when the signal is aborted. */
  constructor(timeout: number, late: string, signal: AbortSignal) {
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#late = late;
    this.#limit = new TimeLimit(timeout, () => this.expire());
    this.#limit.start();
    this.#signal = signal;
    signal.addEventListener("abort", this.#onAbort);
  }

  take(message: WebSocketMessage): void {
    try {
      if (!this.accepts(message)) this.ended(unsolicited());
    } catch (error) {
      this.ended(error);
    }
  }

  ended(error: unknown): void {
    this.#reject(error);
    this.#finish();
  }

  /** Handles a message. Returns whether it may come now. */
  protected abstract accepts(message: WebSocketMessage): boolean;

  /** The time is over. */
  protected expire(): void {
    this.ended(new Deno.errors.TimedOut(this.#late));
  }

  protected succeed(): void {
    this.#resolve();
    this.#finish();
  }

  /** Leaves no timer and no listener behind. */
  protected stop(): void {
    this.#limit.stop();
    this.#signal.removeEventListener("abort", this.#onAbort);
  }

  #finish(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.stop();
    this.onOver();
  }

  readonly #onAbort = (): void => this.ended(this.#signal.reason);
}

export type { MessageExchange };

/**
 * Drops what still comes for the last borrower, until nothing has come for a
 * while. The silence counts from when all has been sent that was left to be sent.
 */
export class Drain extends MessageExchange {
  readonly #accept: Accept;
  readonly #backlog: () => number;
  readonly #silence: TimeLimit;
  #isLate = false;

  /** `backlog`: how many bytes wait to be sent. */
  constructor({ timeout, quiet, accept }: DrainPlan, backlog: () => number, signal: AbortSignal) {
    super(timeout, `The peer was not quiet for ${quiet} ms within ${timeout} ms`, signal);
    this.#accept = accept;
    this.#backlog = backlog;
    this.#silence = new TimeLimit(quiet, () => this.#endSilence());
    this.#silence.start();
  }

  protected override accepts(message: WebSocketMessage): boolean {
    this.#silence.start();
    if (!this.#accept(message)) return false;
    if (this.#isLate) super.expire();
    return true;
  }

  /** A silence that has lasted long enough counts, although it ends a turn of the loop later. */
  protected override expire(): void {
    if (this.#silence.isDue) this.#isLate = true;
    else super.expire();
  }

  protected override stop(): void {
    super.stop();
    this.#silence.stop();
  }

  #endSilence(): void {
    if (this.#backlog() === 0) this.succeed();
    else if (this.#isLate) super.expire();
    else this.#silence.start();
  }
}

/** Waits for the answer to a ping. What comes before it must be such as may be dropped. */
export class Ping extends MessageExchange {
  readonly #isAnswer: (message: WebSocketMessage) => boolean;
  readonly #accept: Accept | undefined;

  constructor({ timeout, isAnswer }: PingPlan, accept: Accept | undefined, signal: AbortSignal) {
    super(timeout, `The ping was not answered within ${timeout} ms`, signal);
    this.#isAnswer = isAnswer;
    this.#accept = accept;
  }

  protected override accepts(message: WebSocketMessage): boolean {
    if (!this.#isAnswer(message)) return this.#accept?.(message) ?? false;
    this.succeed();
    return true;
  }
}
