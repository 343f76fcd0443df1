/**
 * The errors of a {@linkcode ClusterSemaphore}.
 *
 * @module
 */

/** What all errors of a {@linkcode ClusterSemaphore} are. */
export class ClusterError extends Error {
  /** The key of the semaphore. */
  readonly key: string;

  /** Made by the semaphore. */
  constructor(message: string, key: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.key = key;
  }
}

/** The semaphore was closed before or while the call was made. */
export class ClusterClosedError extends ClusterError {
  /** Made by the semaphore. */
  constructor(key: string) {
    super(`The cluster semaphore ${JSON.stringify(key)} is closed`, key);
  }
}

/** No permit became free in time. `cause` is the engine's last error, if it is failing. */
export class ClusterTimeoutError extends ClusterError {
  /** Made by the semaphore. */
  constructor(key: string, timeout: number, summary: string, cause?: unknown) {
    super(
      `No permit of ${JSON.stringify(key)} became free within ${
        Math.round(timeout)
      } ms: ${summary}` +
        (cause === undefined ? "" : `; the engine last failed with: ${described(cause)}`),
      key,
      cause === undefined ? undefined : { cause },
    );
  }
}

/** The engine can't be reached, or fails. `cause` is its error. */
export class ClusterEngineError extends ClusterError {
  /** Made by the semaphore. */
  constructor(key: string, place: string | undefined, cause: unknown) {
    super(
      `The engine ${place ?? ""}${place === undefined ? "" : " "}does not answer for ${
        JSON.stringify(key)
      }: ${described(cause)}`,
      key,
      { cause },
    );
  }
}

/** Why a permit is lost: the reason of its `lost` signal. */
export class ClusterPermitLostError extends ClusterError {
  /** The token of the permit. */
  readonly token: number;

  /** Made by the semaphore. */
  constructor(key: string, token: number, why: string, cause?: unknown) {
    super(
      `The permit ${token} of ${JSON.stringify(key)} is lost: ${why}`,
      key,
      cause === undefined ? undefined : { cause },
    );
    this.token = token;
  }
}

/** Any thrown value as text: it may have no message, or one whose getter throws. */
function described(error: unknown): string {
  try {
    return String(error);
  } catch {
    return "an error that can't be shown";
  }
}
