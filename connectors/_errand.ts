import { LONGEST_DELAY } from "../internal/timer.ts";
import type { Recipient } from "./_recipient.ts";
import type { WebSocketMessage } from "./websocket_connection.ts";

/** Whether a message that nobody asked for may be dropped. */
export type Accept = (message: WebSocketMessage) => boolean;

/** What is said of a message that nobody had asked for. */
export function unsolicited(): Error {
  return new Deno.errors.InvalidData("A message came that nobody had asked for");
}

/** Business with the peer between two borrowers. It ends once: done, or failed with a reason. */
export abstract class Errand implements Recipient {
  /** How it ends. */
  readonly done: Promise<void>;
  /** Called in the moment in which it ends: what comes then is not its business any more. */
  onOver: () => void = () => {};
  #state: "running" | "over" = "running";
  readonly #signal: AbortSignal;
  readonly #deadline: ReturnType<typeof setTimeout>;
  #resolve!: () => void;
  #reject!: (reason: unknown) => void;

  /** It fails when the time is over, with what `late` says, and when the signal is aborted. */
  constructor(timeout: number, late: string, signal: AbortSignal) {
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const expire = () => this.ended(new Deno.errors.TimedOut(late));
    this.#deadline = setTimeout(expire, Math.min(timeout, LONGEST_DELAY));
    this.#signal = signal;
    signal.addEventListener("abort", this.#giveUp);
  }

  take(message: WebSocketMessage): void {
    try {
      if (!this.welcomes(message)) this.ended(unsolicited());
    } catch (error) {
      this.ended(error);
    }
  }

  ended(error: unknown): void {
    this.#reject(error);
    this.#leave();
  }

  /** Whether a message may come now; what is to be made of it is done besides. */
  protected abstract welcomes(message: WebSocketMessage): boolean;

  protected finish(): void {
    this.#resolve();
    this.#leave();
  }

  /** Leaves no timer and no listener behind. */
  protected rest(): void {
    clearTimeout(this.#deadline);
    this.#signal.removeEventListener("abort", this.#giveUp);
  }

  #leave(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.rest();
    this.onOver();
  }

  readonly #giveUp = (): void => this.ended(this.#signal.reason);
}
