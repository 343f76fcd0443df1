import { type Deferred, ignore } from "./_promises.ts";

// A pool that is never joined must not collect failures without limit.
const MOST_KEPT = 1_000;

/** The failures. */
export interface Failed {
  readonly failure: unknown;
}

/** The platform's event of an unhandled rejection. */
interface UnhandledRejection extends Event {
  readonly promise: Promise<unknown>;
}

/** The target of that event. */
interface RejectionEvents {
  addEventListener(
    type: "unhandledrejection",
    listener: (event: UnhandledRejection) => void,
  ): void;
}

/** Rejected promises of callers, until it is known whether they are read. */
const undecided = new WeakMap<Promise<unknown>, () => void>();

// Only the platform knows whether a promise has a reader, and reports those without. For the pool's
// own promises the event is cancelled, since `join()` reports them.
const doesPlatformTell = "onunhandledrejection" in globalThis;
if (doesPlatformTell) {
  (globalThis as unknown as RejectionEvents).addEventListener("unhandledrejection", (event) => {
    const { promise } = event;
    const addToUnread = undecided.get(promise);
    if (addToUnread === undefined) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    undecided.delete(promise);
    addToUnread();
  });
}

/** What the pools have thrown. */
const handedOver = new WeakSet<AggregateError>();

const onRead = new WeakMap<Promise<unknown>, () => void>();

// Every reader of a promise looks up its `constructor` first: `await`, `then` and all that use it.
// Node has no event like the above, so every promise of a caller is watched like this; it costs a third
// of a `run`. Elsewhere only promises that are known to be unread are watched.
const WATCHED = Object.create(Promise.prototype, {
  constructor: {
    get(this: Promise<unknown>) {
      Object.setPrototypeOf(this, Promise.prototype);
      onRead.get(this)?.();
      return Promise;
    },
  },
});

/** Notices when a caller's promise is read. */
export function giveOut<R>(promise: Promise<R>): Promise<R> {
  if (!doesPlatformTell) Object.setPrototypeOf(promise, WATCHED);
  return promise;
}

/** The unread failures. The first thousand are kept, the others only counted. */
export class UnreadFailures {
  /** Called when a failure is certainly unread so far. */
  onUnread: (failure: unknown) => void = ignore;
  readonly #kept = new Set<Failed>();
  #beyond = 0;

  /** A failure whose promise no caller has yet. */
  add(failed: Failed): void {
    if (this.#kept.size < MOST_KEPT) this.#kept.add(failed);
    else this.#beyond++;
    this.onUnread(failed.failure);
  }

  /** A caller has the promise, which is about to be rejected or has just been. */
  addUnlessRead(promise: Promise<unknown>, failed: Failed): void {
    const add = () => {
      onRead.set(promise, () => this.read(failed));
      Object.setPrototypeOf(promise, WATCHED);
      this.add(failed);
    };
    if (doesPlatformTell) {
      undecided.set(promise, add);
    } else {
      const isRead = Object.getPrototypeOf(promise) !== WATCHED;
      promise.catch(ignore);
      if (!isRead) add();
    }
  }

  read(failed: Failed): void {
    this.#kept.delete(failed);
  }

  /** A rejected promise for a caller; unread, it is reported with the others. */
  rejected(reason: unknown): Promise<never> {
    const promise = giveOut(Promise.reject(reason));
    this.addUnlessRead(promise, { failure: reason });
    return promise;
  }

  /** Rejects a promise that a caller has. */
  reject(deferred: Deferred<never> | Deferred<unknown>, reason: unknown): void {
    this.addUnlessRead(deferred.promise, { failure: reason });
    deferred.resolve(Promise.reject(reason) as never);
  }

  /** Hands them over, once. */
  take(): AggregateError | undefined {
    const errors = Array.from(this.#kept, ({ failure }) => failure).flatMap((failure) =>
      wasHandedOver(failure) ? failure.errors : [failure]
    );
    const count = errors.length + this.#beyond;
    if (count === 0) return undefined;
    const subject = count === 1
      ? "1 task has failed and its"
      : `${count} tasks have failed and their`;
    this.#kept.clear();
    this.#beyond = 0;
    const error = new AggregateError(errors, `${subject} result was never read`);
    handedOver.add(error);
    return error;
  }

  /** Throws what there is to hand over. */
  throwUnread(): void {
    const error = this.take();
    if (error !== undefined) throw error;
  }
}

/** Whether it was handed over before, to a call whose own promise was not read. */
function wasHandedOver(failure: unknown): failure is AggregateError {
  return failure instanceof AggregateError && handedOver.has(failure);
}
