import { LinkedList, ListNode } from "../../internal/linked_list.ts";
import type { WebSocketMessage } from "../websocket_messages.ts";

/** Gets the messages of a connection while it is the current handler, and its end. */
export interface MessageHandler {
  take(message: WebSocketMessage): void;
  ended(error: Error): void;
}

/** How much may be unread. */
export interface MessageQueueLimits {
  readonly maxUnread: number;
  readonly maxUnreadBytes: number;
}

class QueuedMessage extends ListNode<QueuedMessage> {
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
 * The messages that have come, and the calls that wait for one, both in order. At
 * any moment one of the two lists is empty.
 */
export class MessageQueue implements MessageHandler {
  readonly #limits: MessageQueueLimits;
  readonly #onFull: (error: Error) => void;
  readonly #messages = new LinkedList<QueuedMessage>();
  readonly #receivers = new LinkedList<Receiver>();
  #bytes = 0;
  #end: Error | undefined;

  /** `onFull` is called when a message comes for which there is no room. */
  constructor(limits: MessageQueueLimits, onFull: (error: Error) => void) {
    this.#limits = limits;
    this.#onFull = onFull;
  }

  /** How many messages have come that have not been received. */
  get unread(): number {
    return this.#messages.size;
  }

  /** How many calls wait for a message. */
  get waiting(): number {
    return this.#receivers.size;
  }

  take(message: WebSocketMessage): void {
    const receiver = this.#receivers.head;
    if (receiver !== undefined) {
      this.#remove(receiver);
      return receiver.resolve(message);
    }
    const excess = this.#excessWith(message);
    if (excess !== undefined) return this.#onFull(excess);
    this.#bytes += message.length;
    this.#messages.push(new QueuedMessage(message));
  }

  /** No more messages will come. Those that are there can still be received. */
  ended(error: Error): void {
    this.#end = error;
    this.rejectAll(error);
  }

  /** Takes out the oldest unread message. */
  shift(): WebSocketMessage | undefined {
    const queued = this.#messages.head;
    if (queued === undefined) return undefined;
    this.#messages.remove(queued);
    this.#bytes -= queued.message.length;
    return queued.message;
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

  /** Rejects all calls that wait. */
  rejectAll(error: Error): void {
    for (const receiver of this.#receivers) {
      this.#remove(receiver);
      receiver.reject(error);
    }
  }

  #abort(receiver: Receiver): void {
    this.#remove(receiver);
    receiver.reject(receiver.signal!.reason);
  }

  #remove(receiver: Receiver): void {
    this.#receivers.remove(receiver);
    receiver.signal?.removeEventListener("abort", receiver.onAbort);
  }

  /** One message always fits: it can't be known whether the borrower is about to receive it. */
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
