import { LinkedList, ListNode } from "../internal/linked_list.ts";
import type { Recipient } from "./_recipient.ts";
import type { WebSocketMessage } from "./websocket_connection.ts";

/** How much may lie unread. */
export interface MailboxLimits {
  readonly maxUnread: number;
  readonly maxUnreadBytes: number;
}

class Letter extends ListNode<Letter> {
  readonly message: WebSocketMessage;

  constructor(message: WebSocketMessage) {
    super();
    this.message = message;
  }
}

/** A call to `receive` that waits for its message. */
class Receiver extends ListNode<Receiver> {
  readonly resolve: (message: WebSocketMessage) => void;
  readonly reject: (reason: unknown) => void;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;

  constructor(
    resolve: (message: WebSocketMessage) => void,
    reject: (reason: unknown) => void,
    signal: AbortSignal | undefined,
    onAbort: (receiver: Receiver) => void,
  ) {
    super();
    this.resolve = resolve;
    this.reject = reject;
    this.signal = signal;
    this.onAbort = () => onAbort(this);
    signal?.addEventListener("abort", this.onAbort);
  }
}

/**
 * Brings messages and those who ask for them together, both in the order in
 * which they come. At any moment one of the two lines is empty.
 */
export class Mailbox implements Recipient {
  readonly #limits: MailboxLimits;
  readonly #onFull: (error: Error) => void;
  readonly #letters = new LinkedList<Letter>();
  readonly #receivers = new LinkedList<Receiver>();
  #bytes = 0;
  #end: Error | undefined;

  /** `onFull` is called when a message comes for which there is no room. */
  constructor(limits: MailboxLimits, onFull: (error: Error) => void) {
    this.#limits = limits;
    this.#onFull = onFull;
  }

  /** How many messages nobody has asked for yet. */
  get unread(): number {
    return this.#letters.size;
  }

  /** How many calls wait for a message. */
  get waiting(): number {
    return this.#receivers.size;
  }

  take(message: WebSocketMessage): void {
    const receiver = this.#receivers.head;
    if (receiver !== undefined) {
      this.#dismiss(receiver);
      return receiver.resolve(message);
    }
    const excess = this.#excessWith(message);
    if (excess !== undefined) return this.#onFull(excess);
    this.#bytes += message.length;
    this.#letters.push(new Letter(message));
  }

  /** No message will come any more: those that are there can still be had. */
  ended(error: Error): void {
    this.#end = error;
    this.turnAway(error);
  }

  /** The oldest unread message. */
  shift(): WebSocketMessage | undefined {
    const letter = this.#letters.head;
    if (letter === undefined) return undefined;
    this.#letters.remove(letter);
    this.#bytes -= letter.message.length;
    return letter.message;
  }

  receive(signal: AbortSignal | undefined): Promise<WebSocketMessage> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const message = this.shift();
    if (message !== undefined) return Promise.resolve(message);
    if (this.#end !== undefined) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => {
      const onAbort = (receiver: Receiver) => this.#abort(receiver);
      this.#receivers.push(new Receiver(resolve, reject, signal, onAbort));
    });
  }

  /** Tells all who wait that they do so in vain. */
  turnAway(error: Error): void {
    for (const receiver of this.#receivers) {
      this.#dismiss(receiver);
      receiver.reject(error);
    }
  }

  #abort(receiver: Receiver): void {
    this.#dismiss(receiver);
    receiver.reject(receiver.signal!.reason);
  }

  #dismiss(receiver: Receiver): void {
    this.#receivers.remove(receiver);
    receiver.signal?.removeEventListener("abort", receiver.onAbort);
  }

  /** One message fits always: whether a borrower is about to ask for it, nobody can know. */
  #excessWith(message: WebSocketMessage): Error | undefined {
    const { maxUnread, maxUnreadBytes } = this.#limits;
    const { unread } = this;
    if (unread >= maxUnread) {
      return new RangeError(`More than ${maxUnread} messages came that nobody received`);
    }
    if (unread > 0 && this.#bytes + message.length > maxUnreadBytes) {
      return new RangeError(`More than ${maxUnreadBytes} bytes came that nobody received`);
    }
  }
}
