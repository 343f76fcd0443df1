import type { WebSocketMessage } from "../websocket_messages.ts";
import type { MessageHandler } from "./message_queue.ts";
import { TimeLimit } from "./time_limit.ts";

/** Whether an unsolicited message may be dropped. */
export type Accept = (message: WebSocketMessage) => boolean;

/** The options of a drain, with their defaults. */
export interface DrainPlan {
  readonly timeout: number;
  readonly quiet: number;
  readonly accept: Accept;
}

/** The options of a ping, with their defaults. */
export interface PingPlan {
  readonly message: WebSocketMessage;
  readonly timeout: number;
  readonly isAnswer: (message: WebSocketMessage) => boolean;
}

/** The error for an unsolicited message. */
export function unsolicited(): Error {
  return new Deno.errors.InvalidData("A message came that nobody had asked for");
}

/** An exchange with the peer between two borrowers. It ends once: done, or failed with a reason. */
abstract class MessageExchange implements MessageHandler {
  /** Settles when it ends. */
  readonly done: Promise<void>;
  /** Called when it ends: later messages go to the next handler. */
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

  /** Handles a message. Returns whether it is allowed now. */
  protected abstract accepts(message: WebSocketMessage): boolean;

  /** The time is over. */
  protected expire(): void {
    this.ended(new Deno.errors.TimedOut(this.#late));
  }

  protected succeed(): void {
    this.#resolve();
    this.#finish();
  }

  /** Removes its timer and listener. */
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
 * Drops messages for the last borrower until there is a silence. The silence counts from
 * the moment when all buffered messages are sent.
 */
export class Drain extends MessageExchange {
  readonly #accept: Accept;
  readonly #backlog: () => number;
  readonly #silence: TimeLimit;
  #isLate = false;

  /** `backlog`: the number of buffered bytes. */
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

  /** Whether the silence has been long enough, even if the exchange ends a turn of the loop later. */
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

/** Waits for the answer to a ping. Messages before it must be droppable. */
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
