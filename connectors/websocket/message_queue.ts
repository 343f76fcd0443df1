import { LinkedList, ListNode } from "../../internal/linked_list.ts";
import type { WebSocketMessage } from "../websocket_messages.ts";
import { PendingCalls, type WaitOptions } from "./pending_calls.ts";

/** Gets the messages and the end of a connection while it is the current handler. */
export interface MessageHandler {
  take(message: WebSocketMessage): void;
  ended(error: Error): void;
}

/** The limits of unread messages. */
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

/**
 * The unread messages and the pending calls, both in order. At any moment one of the two
 * lists is empty.
 */
export class MessageQueue implements MessageHandler {
  readonly #limits: MessageQueueLimits;
  readonly #onFull: (error: Error) => void;
  readonly #messages = new LinkedList<QueuedMessage>();
  readonly #receivers: PendingCalls<WebSocketMessage>;
  #bytes = 0;
  #end: Error | undefined;
  /** Whether a call ended by its signal or timeout: its message may still come. */
  wasGivenUp = false;

  /** `onFull` is called when a message comes for which there is no room. */
  constructor(limits: MessageQueueLimits, onFull: (error: Error) => void) {
    this.#limits = limits;
    this.#onFull = onFull;
    const onGivenUp = () => {
      this.wasGivenUp = true;
    };
    const late = (timeout: number) => `No message came within ${timeout} ms`;
    this.#receivers = new PendingCalls(onGivenUp, late);
  }

  /** How many messages have come that have not been received. */
  get unread(): number {
    return this.#messages.size;
  }

  /** The number of pending calls. */
  get waiting(): number {
    return this.#receivers.size;
  }

  take(message: WebSocketMessage): void {
    if (this.#receivers.resolveFirst(message)) return;
    const excess = this.#excessWith(message);
    if (excess !== undefined) return this.#onFull(excess);
    this.#bytes += message.length;
    this.#messages.push(new QueuedMessage(message));
  }

  /** Ends the queue. Unread messages can still be received. */
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

  receive(options: WaitOptions): Promise<WebSocketMessage> {
    if (options.signal?.aborted) {
      this.wasGivenUp ||= this.unread === 0;
      return Promise.reject(options.signal.reason);
    }
    const message = this.shift();
    if (message !== undefined) return Promise.resolve(message);
    if (this.#end !== undefined) return Promise.reject(this.#end);
    return this.#receivers.add(options);
  }

  /** Rejects all pending calls. */
  rejectAll(error: Error): void {
    this.#receivers.rejectAll(error);
  }

  /** One message always fits, since the borrower may be about to receive it. */
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
