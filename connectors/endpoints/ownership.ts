import type { LeaseSlot } from "../../pool/lease.ts";
import type { Permit } from "../../pool/semaphore.ts";
import { ask, type Endpoint } from "./endpoint.ts";

/** A resource opened by an endpoint, and its permit. */
export class Opening {
  readonly endpoint: Endpoint;
  readonly openedAt: number;
  #permit: Permit | undefined;
  #isClosing = false;

  constructor(endpoint: Endpoint, openedAt: number, permit: Permit | undefined) {
    this.endpoint = endpoint;
    this.openedAt = openedAt;
    this.#permit = permit;
  }

  /** Closes the resource, then gives the permit back. */
  close(close: () => void | PromiseLike<void>): void | PromiseLike<void> {
    if (this.#permit === undefined) return close();
    this.#isClosing = true;
    return this.#closeWithPermit(close);
  }

  /** The pool has given up the close; the permit is given back. */
  endClose(): void {
    if (this.#isClosing) this.releasePermit();
  }

  releasePermit(): void {
    const permit = this.#permit;
    this.#permit = undefined;
    if (permit !== undefined) releasePermit(permit);
  }

  async #closeWithPermit(close: () => void | PromiseLike<void>): Promise<void> {
    try {
      await close();
    } finally {
      this.releasePermit();
    }
  }
}

/** Whether the result of `admit` is a permit. */
export function isPermit(permit: unknown): permit is Permit {
  const canBeReleased = () => typeof (permit as Permit | undefined)?.release === "function";
  return ask(canBeReleased, { onThrow: false, onPromise: false });
}

/** Gives a permit back. The result of `admit` may be any value. */
export function releasePermit(permit: Permit): void {
  ask<unknown>(() => permit?.release?.(), { onThrow: undefined, onPromise: undefined });
}

/** The leave of an endpoint's connector to dial. The dial has the same signal, by which the connector may know it. */
export interface Leave {
  readonly permit: Promise<Permit>;
  readonly controller: AbortController;
}

/**
 * A permit for an endpoint, taken before `connect` is called. The next race takes it over,
 * and uses it if it dials that endpoint.
 */
export class Admission implements Permit {
  readonly endpoint: Endpoint;
  #leave: Leave | undefined;
  readonly #onRelease: () => void;
  /** The resource opened with it. */
  opening: Opening | undefined;

  /** The permit has settled, if the endpoint has an `admit`. */
  constructor(endpoint: Endpoint, leave: Leave | undefined, onRelease: () => void) {
    this.endpoint = endpoint;
    this.#leave = leave;
    this.#onRelease = onRelease;
  }

  /** For the attempt that dials the endpoint. */
  use(endpoint: Endpoint): Leave | undefined {
    if (endpoint !== this.endpoint) return undefined;
    const leave = this.#leave;
    this.#leave = undefined;
    return leave;
  }

  /** Gives it back unless it has been used. */
  drop(): void {
    this.#leave?.permit.then(releasePermit, () => {});
    this.#leave = undefined;
  }

  /** Called by the pool: the dial failed, the resource is closed, or its close was given up. */
  release(): void {
    this.#onRelease();
    this.drop();
    this.opening?.endClose();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/**
 * Which endpoint opened which resource. A resource without an identity, such as a number,
 * may be open at one endpoint only.
 */
export class ResourceOwners {
  /** Closed ones included: the pool may still ask about them. */
  readonly #ofObjects = new WeakMap<object, Opening>();
  readonly #openObjects = new WeakSet<object>();
  readonly #ofValues = new Map<unknown, Opening[]>();

  /** Records an opening. Returns false if the resource is open already and has an identity, or is open elsewhere. */
  add(resource: unknown, opening: Opening): boolean {
    return isObject(resource)
      ? this.#addObject(resource, opening)
      : this.#addValue(resource, opening);
  }

  /** The latest opening of the resource. */
  get(resource: unknown): Opening | undefined {
    return isObject(resource)
      ? this.#ofObjects.get(resource)
      : this.#ofValues.get(resource)?.at(-1);
  }

  /** The resource is about to be closed or detached. Returns its opening, if it was open. */
  remove(resource: unknown): Opening | undefined {
    if (isObject(resource)) {
      return this.#openObjects.delete(resource) ? this.#ofObjects.get(resource) : undefined;
    }
    const openings = this.#ofValues.get(resource);
    if (openings?.length === 1) this.#ofValues.delete(resource);
    return openings?.pop();
  }

  #addObject(resource: object, opening: Opening): boolean {
    if (this.#openObjects.has(resource)) return false;
    this.#openObjects.add(resource);
    this.#ofObjects.set(resource, opening);
    return true;
  }

  #addValue(resource: unknown, opening: Opening): boolean {
    const openings = this.#ofValues.get(resource);
    if (openings === undefined) this.#ofValues.set(resource, [opening]);
    else if (openings[0]!.endpoint !== opening.endpoint) return false;
    else openings.push(opening);
    return true;
  }
}

/** Whether a resource has an identity of its own. */
export function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

/** A slot that reports the detachment of its resource, which connectors cannot know otherwise. */
export class TrackedSlot<T> implements LeaseSlot<T> {
  readonly #slot: LeaseSlot<T>;
  readonly #onDetach: (resource: T) => void;
  readonly resource: T;
  readonly uses: number;

  constructor(slot: LeaseSlot<T>, onDetach: (resource: T) => void) {
    this.#slot = slot;
    this.#onDetach = onDetach;
    this.resource = slot.resource;
    this.uses = slot.uses;
  }

  get closing(): AbortSignal {
    return this.#slot.closing;
  }

  release(): void {
    this.#slot.release();
  }

  discard(reason?: unknown): void {
    this.#slot.discard(reason);
  }

  detach(): void {
    this.#onDetach(this.resource);
    this.#slot.detach();
  }
}
