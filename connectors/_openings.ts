import type { Endpoint } from "./_endpoint.ts";

/** That an endpoint has opened a resource. */
export interface Opening {
  readonly endpoint: Endpoint;
  readonly openedAt: number;
}

/**
 * Which endpoint has opened which resource. What has no identity of its own, such
 * as a number, can be told apart as long as only one endpoint has it open.
 */
export class Openings {
  /** Also of those that are closed: they may still be asked about. */
  readonly #ofObjects = new WeakMap<object, Opening>();
  readonly #openObjects = new WeakSet<object>();
  readonly #ofValues = new Map<unknown, Opening[]>();

  /** Notes an opening. Answers false if the resource is open already, and can't be so twice. */
  enter(resource: unknown, opening: Opening): boolean {
    return isObject(resource)
      ? this.#enterObject(resource, opening)
      : this.#enterValue(resource, opening);
  }

  /** The latest opening of the resource. */
  of(resource: unknown): Opening | undefined {
    return isObject(resource)
      ? this.#ofObjects.get(resource)
      : this.#ofValues.get(resource)?.at(-1);
  }

  /** The resource is about to be closed, or given away. Answers the opening that ends so, if it was open. */
  leave(resource: unknown): Opening | undefined {
    if (isObject(resource)) {
      return this.#openObjects.delete(resource) ? this.#ofObjects.get(resource) : undefined;
    }
    const openings = this.#ofValues.get(resource);
    if (openings?.length === 1) this.#ofValues.delete(resource);
    return openings?.pop();
  }

  #enterObject(resource: object, opening: Opening): boolean {
    if (this.#openObjects.has(resource)) return false;
    this.#openObjects.add(resource);
    this.#ofObjects.set(resource, opening);
    return true;
  }

  #enterValue(resource: unknown, opening: Opening): boolean {
    const openings = this.#ofValues.get(resource);
    if (openings === undefined) this.#ofValues.set(resource, [opening]);
    else if (openings[0]!.endpoint !== opening.endpoint) return false;
    else openings.push(opening);
    return true;
  }
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
