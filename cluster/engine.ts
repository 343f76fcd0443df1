/**
 * What a {@linkcode ClusterSemaphore} asks of the engine that keeps its count.
 *
 * @module
 */

/** A permit as the engine gives it. */
export interface Grant {
  /** The permit's fence: a safe integer, greater than that of any grant before under the same key. */
  readonly token: number;
  /** The queue entry that asked for it; 0 for an attempt. */
  readonly entry: number;
}

/** A queue entry of a session, and how many permits it still waits for. */
export interface QueueEntry {
  /** The session's own number for it, from 1. */
  readonly entry: number;
  /** How many permits. */
  readonly count: number;
}

/** Everything that a session has to say at one moment. */
export interface ExchangeRequest {
  /** Who asks: one semaphore in one process. Letters, digits and `-`. */
  readonly session: string;
  /** How many permits there are under the key. */
  readonly permits: number;
  /** How many milliseconds the session lives on without another exchange, by the engine's clock. */
  readonly ttl: number;
  /** Tokens to give back. One that the session does not hold is passed over. */
  readonly release: readonly number[];
  /** Queue entries to shorten, each by a count; one that is shortened to 0 leaves the queue. */
  readonly cancel: readonly QueueEntry[];
  /** Permits to take, or else to wait for at the end of the queue. */
  readonly acquire?: QueueEntry | undefined;
  /** Permits to take if they are free now and no caller waits. */
  readonly attempt: number;
  /**
   * Whether the session may be asked to give up one permit for a waiting caller.
   * Not given: as before, and at first it may not.
   */
  readonly offer?: boolean | undefined;
  /** The session's queue entries, if the reply is to say what the engine has of the session; else undefined. */
  readonly reconcile?: readonly number[] | undefined;
  /** Forget the session if it neither holds nor waits for anything afterwards. */
  readonly leave: boolean;
}

/** What the engine answers. */
export interface ExchangeReply {
  /** Whether the engine had the session before. If not, whatever it held or waited for is gone. */
  readonly known: boolean;
  /** Permits of this session of which it has not heard yet. */
  readonly granted: readonly Grant[];
  /** How many permits are waited for, by all sessions. */
  readonly waiting: number;
  /** Whether this session is the one to give up a permit. Said until it releases one or withdraws its offer. */
  readonly asked: boolean;
  /** In how many milliseconds the next session expires, if a caller waits; else Infinity. */
  readonly nextExpiry: number;
  /** All permits of the session: if `reconcile` was given, or the session was not known. */
  readonly held?: readonly Grant[] | undefined;
  /** What is left of the entries in `reconcile` and `acquire`: given together with `held`. */
  readonly queued?: readonly QueueEntry[] | undefined;
}

/** The count as the engine sees it. */
export interface ClusterStatus {
  /** Permits held by sessions that have not expired. */
  readonly held: number;
  /** Permits waited for. */
  readonly waiting: number;
  /** Sessions that have not expired. */
  readonly sessions: number;
  /** The most permits that were ever held at once. */
  readonly peak: number;
  /** The greatest token so far. */
  readonly fence: number;
}

/**
 * Keeps the count for all processes: a few records under a key, which one
 * *exchange* reads and changes as a whole. Write one for PostgreSQL (a row
 * under `FOR UPDATE`, `LISTEN` for the wake) or etcd (a transaction, a watch),
 * and put it through `tests/cluster/engine_conformance.ts`.
 *
 * An exchange, in this order:
 * 1. removes the sessions whose time is over by the engine's clock, with all they hold and wait for;
 * 2. extends the session's life to `ttl` from now;
 * 3. releases, then cancels;
 * 4. grants from the head of the queue while fewer than `permits` are held, the new `acquire` last;
 * 5. serves `attempt`, if the queue is empty;
 * 6. notes the offer; and while more permits are waited for than sessions are asked,
 *    asks the offering session that was not asked for longest;
 * 7. wakes the other sessions that were granted a permit or asked for one.
 *
 * It happens once or not at all, and the caller may not learn which. A token
 * must grow with every grant, also when the engine has lost its records:
 * microseconds since 1970 as the least value see to that.
 */
export interface Engine {
  /** What errors call it, such as `redis`. No secrets. */
  readonly place?: string | undefined;

  /**
   * One exchange. It keeps the process alive for as long as it is in flight.
   *
   * @param key What the permits are for.
   * @param request What the session has to say.
   * @param options A signal that is aborted when the caller has given up on the reply.
   * @returns The reply; rejects if the engine can't be reached, or fails.
   */
  exchange(
    key: string,
    request: ExchangeRequest,
    options: { readonly signal: AbortSignal },
  ): Promise<ExchangeReply>;

  /**
   * Resolves when an exchange elsewhere has granted the session a permit or has
   * asked it for one, since its last own exchange; also earlier, within some
   * seconds, if the engine prefers. After an abort it resolves as soon as nothing
   * is left in flight. Rejects if the engine can't be reached.
   */
  wake(
    key: string,
    session: string,
    options: { readonly signal: AbortSignal },
  ): Promise<void>;

  /** The count under a key. */
  status(key: string): Promise<ClusterStatus>;
}
