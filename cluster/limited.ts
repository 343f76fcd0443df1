/**
 * Pools under a common limit.
 *
 * @module
 */

import type { ConnectContext, Connector, WatchContext } from "../pool/connector.ts";
import type { Lease } from "../pool/lease.ts";
import type { Permit } from "../pool/semaphore.ts";
import type { Timer } from "../internal/timer.ts";
import { oneLine, showing, shown } from "../internal/text.ts";
import type { Yielder } from "./_session.ts";
import type { ClusterPermit } from "./permit.ts";
import { ClusterSemaphore, leaseTimeOf, yieldFor } from "./semaphore.ts";

/** What a pool passes to `admit`. */
interface AdmitContext {
  readonly signal: AbortSignal;
  /** Whether no caller waits for the resource: it is opened for `minIdle`. */
  readonly background?: boolean | undefined;
}

/** A connector's methods, as this file calls them. */
interface AnyConnector {
  admit?(context: AdmitContext): Permit | PromiseLike<Permit>;
  connect(context: ConnectContext): unknown;
  watch?(resource: unknown, context: WatchContext): void;
  unwatch?(resource: unknown): void;
}

const permits = new WeakMap<WeakKey, ClusterPermit>();

/**
 * The permit of a resource that a limited connector has opened. A detached
 * resource takes its permit along: release it when you have closed the resource.
 *
 * @param resource The resource.
 * @returns Its permit, or undefined if it has none.
 *
 * @example
 * ```ts
 * import type { SocketLease } from "@x/sockpool";
 * import { permitOf } from "@x/sockpool/cluster";
 *
 * export function keep(lease: SocketLease) {
 *   const socket = lease.detach();
 *   const close = () => {
 *     socket.close();
 *     permitOf(socket)?.release();
 *   };
 *   return { socket, close };
 * }
 * ```
 */
export function permitOf(resource: unknown): ClusterPermit | undefined {
  return permits.get(resource as WeakKey);
}

/**
 * Has the connections of any pool obey a limit that many processes share: each
 * takes a permit before it is dialled, and gives it back when it is closed. The
 * pool keeps its own rules otherwise.
 *
 * - Waiting for a permit is neither a failed dial nor counted in `connectTimeout`.
 * - While a caller elsewhere waits, one process gives up one idle connection.
 *   A connection for `minIdle` waits until no caller does.
 * - When a permit is lost, its connection is closed, under its borrower if need be.
 * - `detach()` takes the permit along: {@linkcode permitOf}.
 *
 * @param connector What opens the connections.
 * @param semaphore The limit.
 * @returns A connector for a pool.
 * @throws {TypeError} If one of them is something else.
 *
 * @example
 * ```ts
 * import { Pool, tcp } from "@x/sockpool";
 * import { ClusterSemaphore, limited, memoryEngine } from "@x/sockpool/cluster";
 *
 * await using semaphore = new ClusterSemaphore({
 *   engine: memoryEngine(), // redisEngine(…), for more than this process
 *   key: "db",
 *   permits: 100,
 * });
 * await using pool = new Pool(limited(tcp({ port: 5432 }), semaphore), { maxSize: 20 });
 * ```
 */
export function limited<T, L extends Lease<T> = Lease<T>>(
  connector: Connector<T, L>,
  semaphore: ClusterSemaphore,
): Connector<T, L> {
  if (typeof connector?.connect !== "function") {
    throw new TypeError(
      `Cannot limit a connector as 'connector' must have a connect() method: received ${
        shown(connector)
      }`,
    );
  }
  if (!(semaphore instanceof ClusterSemaphore)) {
    throw new TypeError(
      `Cannot limit a connector as 'semaphore' must be a ClusterSemaphore: received ${
        shown(semaphore)
      }`,
    );
  }
  const limiter = new Limiter(connector as unknown as AnyConnector, semaphore);
  const members = {
    ...showing(() => {
      const { place } = connector;
      const text = typeof place === "string" ? oneLine(place) : "no place";
      return `Connector(${text}; limited by ${semaphore})`;
    }),
    admit: (context: AdmitContext) => limiter.admit(context),
    connect: (context: ConnectContext) => limiter.connect(context),
    watch: (resource: unknown, context: WatchContext) => limiter.watch(resource, context),
    unwatch: (resource: unknown) => limiter.unwatch(resource),
  };
  return Object.defineProperties(
    forwarding(connector),
    Object.getOwnPropertyDescriptors(members),
  ) as unknown as Connector<T, L>;
}

/** The members of a connector, inherited ones too, on a plain object. */
function forwarding(connector: object): Record<string, unknown> {
  const copy: Record<string, unknown> = {};
  const source = connector as Record<string, unknown>;
  for (
    let level: object | null = connector;
    level !== null && level !== Object.prototype;
    level = Object.getPrototypeOf(level)
  ) {
    for (const name of Object.getOwnPropertyNames(level)) {
      if (name === "constructor" || name in copy) continue;
      const value = source[name];
      if (typeof value === "function") {
        copy[name] = value.bind(connector);
        continue;
      }
      // Such as the place of a connector whose URL is found out at each dial.
      const get = () => source[name];
      Object.defineProperty(copy, name, { get, enumerable: true, configurable: true });
    }
  }
  return copy;
}

/** The permits of one connector's resources. */
class Limiter implements Yielder {
  readonly #connector: AnyConnector;
  readonly #semaphore: ClusterSemaphore;
  readonly #yields: ReturnType<typeof yieldFor>;
  /** Permits whose resources are to be dialled, by the signal of the dial. */
  readonly #admitted = new Map<AbortSignal, Admission>();
  /** Idle resources, the longest idle first, each with a function that retires it. */
  readonly #idle = new Map<unknown, (reason: unknown) => void>();
  #held = 0;
  /** Until when a new resource may be the replacement of one that was given up. */
  #refillUntil = -Infinity;

  constructor(connector: AnyConnector, semaphore: ClusterSemaphore) {
    this.#connector = connector;
    this.#semaphore = semaphore;
    this.#yields = yieldFor(semaphore, this);
  }

  async admit(context: AdmitContext): Promise<Permit> {
    const permit = await this.#acquire(context);
    try {
      const inner = await this.#connector.admit?.(context);
      const { signal } = context;
      const admission = new Admission(permit, inner, () => this.#forget(admission, signal));
      if (this.#held++ === 0) this.#yields.begin();
      this.#admitted.set(signal, admission);
      return admission;
    } catch (error) {
      permit.release();
      throw error;
    }
  }

  async connect(context: ConnectContext): Promise<unknown> {
    const admission = this.#admitted.get(context.signal);
    if (admission === undefined) {
      throw new Error(
        "Cannot connect without a permit: what uses a limited connector calls admit()",
      );
    }
    this.#admitted.delete(context.signal);
    const { permit } = admission;
    permit.lost.throwIfAborted();
    const retire = () => context.retire(permit.lost.reason, { now: true });
    permit.lost.addEventListener("abort", retire, { once: true });
    const resource = await this.#connector.connect(context);
    admission.resource = resource;
    if (isObject(resource)) permits.set(resource, permit);
    return resource;
  }

  watch(resource: unknown, context: WatchContext): void {
    if (!context.wanted) {
      this.#idle.set(resource, (reason) => context.lost(reason));
      this.#yields.offerAgain();
    }
    this.#connector.watch?.(resource, context);
  }

  unwatch(resource: unknown): void {
    this.#idle.delete(resource);
    this.#connector.unwatch?.(resource);
  }

  giveUp(): boolean {
    for (const [resource, lose] of this.#idle) {
      this.#idle.delete(resource);
      this.#refillUntil = performance.now() + leaseTimeOf(this.#semaphore);
      lose(new Error("It was given up for somebody who waits for a permit elsewhere"));
      return true;
    }
    return false;
  }

  #acquire(context: AdmitContext): Promise<ClusterPermit> {
    const isRefill = context.background ?? performance.now() < this.#refillUntil;
    if (!isRefill) return this.#semaphore.acquire({ signal: context.signal });
    this.#refillUntil = -Infinity;
    const until = performance.now() + leaseTimeOf(this.#semaphore);
    return this.#acquirePatiently(context.signal, until);
  }

  /**
   * Takes a permit that no caller waits for. A place in the queue would make others give one
   * up. The attempts end, since a caller may need the resource meanwhile.
   */
  async #acquirePatiently(signal: AbortSignal, until: number): Promise<ClusterPermit> {
    while (performance.now() < until && !signal.aborted) {
      const permit = await this.#semaphore.tryAcquire();
      if (permit !== undefined) return permit;
      await pause(leaseTimeOf(this.#semaphore) / 3, signal);
    }
    return await this.#semaphore.acquire({ signal });
  }

  #forget(admission: Admission, signal: AbortSignal): void {
    if (this.#admitted.get(signal) === admission) this.#admitted.delete(signal);
    this.#idle.delete(admission.resource);
    if (--this.#held === 0) this.#yields.end();
  }
}

/** The permit to dial, from the semaphore and from the connector's own `admit`. */
class Admission implements Permit {
  readonly permit: ClusterPermit;
  resource: unknown;
  readonly #inner: Permit | undefined;
  #onRelease: (() => void) | undefined;

  constructor(permit: ClusterPermit, inner: Permit | undefined, onRelease: () => void) {
    this.permit = permit;
    this.#inner = inner;
    this.#onRelease = onRelease;
  }

  release(): void {
    if (this.#onRelease === undefined) return;
    this.#onRelease();
    this.#onRelease = undefined;
    this.#inner?.release();
    this.permit.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** Waits for so long, or until an abort; does not keep the process alive. */
async function pause(duration: number, signal: AbortSignal): Promise<void> {
  let timer: Timer | undefined;
  let end = () => {};
  await new Promise<void>((resolve) => {
    end = resolve;
    timer = setTimeout(resolve, duration);
    (timer as unknown as { unref?(): void }).unref?.();
    signal.addEventListener("abort", end, { once: true });
  });
  signal.removeEventListener("abort", end);
  clearTimeout(timer);
}

function isObject(value: unknown): value is WeakKey {
  return typeof value === "object" && value !== null || typeof value === "function";
}
