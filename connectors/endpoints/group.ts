import { closeResource, type ConnectContext } from "../../pool/connector.ts";
import { Lease, type LeaseSlot } from "../../pool/lease.ts";
import type { RetireReason } from "../../pool/stats.ts";
import { type AnyConnector, Endpoint, type Selection } from "./endpoint.ts";
import { isObject, type Opening, ResourceOwners, TrackedSlot } from "./ownership.ts";
import { type Attempt, final, isFinal, Race, type RaceContext, type Winner } from "./race.ts";

/** How a group treats its endpoints. Times are in milliseconds. */
export interface GroupSettings {
  readonly minDelay: number;
  readonly maxDelay: number;
  readonly attemptDelay: number;
  readonly now: () => number;
}

/** Several endpoints behind one connector: dials one of them, and remembers which has opened what. */
export class EndpointGroup implements RaceContext {
  readonly endpoints: readonly Endpoint[];
  readonly selection: Selection;
  readonly attemptDelay: number;
  readonly now: () => number;
  readonly backgroundProbes = new Set<Attempt>();
  turn = 0;
  readonly #owners = new ResourceOwners();
  /** How many dials are in flight and resources open. */
  #uses = 0;

  constructor(
    connectors: readonly AnyConnector[],
    selection: Selection,
    settings: GroupSettings,
  ) {
    this.endpoints = connectors.map((each, index) => new Endpoint(each, index, settings));
    this.selection = selection;
    this.attemptDelay = settings.attemptDelay;
    this.now = settings.now;
  }

  /** The connector that stands for the group. A method that none of the endpoints has the pool need not call. */
  toConnector(kind: string): AnyConnector {
    return {
      place: `${kind}(${this.endpoints.map(({ name }) => name).join(", ")})`,
      connect: (context) => this.connect(context),
      close: (resource, reason) => this.close(resource, reason),
      isRetryable: (error) => !isFinal(error),
      lease: (slot) => this.lease(slot),
      ...this.#sharedMethods(),
    };
  }

  async connect(context: ConnectContext): Promise<unknown> {
    context.signal.throwIfAborted();
    this.#uses++;
    try {
      const winner = await new Race(this, context).run();
      await this.#own(winner);
      return winner.resource;
    } catch (error) {
      this.#unused();
      throw error;
    }
  }

  lease(slot: LeaseSlot<unknown>): Lease<unknown> {
    const tracked = new TrackedSlot(slot, (resource) => this.#forget(resource));
    return this.#ownerOf(slot.resource).lease?.(tracked) ?? new Lease(tracked);
  }

  close(resource: unknown, reason: RetireReason): void | PromiseLike<void> {
    const { endpoint, openedAt } = this.#openingOf(resource);
    if (endpoint.isBroken(resource)) endpoint.load.lost(openedAt, this.now());
    this.#forget(resource);
    return closeResource(endpoint.connector, resource, reason);
  }

  get lingering(): number {
    return this.endpoints.reduce((sum, { connector }) => sum + (connector.lingering?.() ?? 0), 0);
  }

  /** The methods that one of the connectors has; where another lacks it, the default holds. */
  #sharedMethods(): Partial<AnyConnector> {
    const of = (resource: unknown) => this.#ownerOf(resource);
    const methods: Partial<AnyConnector> = {
      check: (resource, context) => {
        const connector = of(resource);
        return connector.check === undefined || connector.check(resource, context);
      },
      reset: (resource, context) => of(resource).reset?.(resource, context),
      isBroken: (resource) => of(resource).isBroken?.(resource) ?? false,
      isStale: (resource, error) => of(resource).isStale?.(resource, error) ?? false,
      watch: (resource, context) => of(resource).watch?.(resource, context),
      probe: (resource, options) => of(resource).probe?.(resource, options),
      lingering: () => this.lingering,
      unwatch: (resource) => of(resource).unwatch?.(resource),
    };
    const shared = Object.entries(methods)
      .filter(([name]) => this.#has(name as keyof AnyConnector));
    return Object.fromEntries(shared);
  }

  #has(method: keyof AnyConnector): boolean {
    return this.endpoints.some(({ connector }) => connector[method] !== undefined);
  }

  /** Notes whose the resource is, if that can be known of it. */
  async #own({ endpoint, resource }: Winner): Promise<void> {
    if (this.#owners.add(resource, { endpoint, openedAt: this.now() })) return;
    endpoint.load.open--;
    if (isObject(resource)) throw new Error("connect() gave what is open already");
    await closeResource(endpoint.connector, resource, "surplus");
    throw final(
      new TypeError(
        `Cannot pool ${
          String(resource)
        } as another endpoint has opened the same: only objects can be told apart`,
      ),
    );
  }

  /** The connector that has opened a resource. */
  #ownerOf(resource: unknown): AnyConnector {
    return this.#openingOf(resource).endpoint.connector;
  }

  #openingOf(resource: unknown): Opening {
    const opening = this.#owners.get(resource);
    if (opening === undefined) {
      throw new TypeError("None of the endpoints has opened this resource");
    }
    return opening;
  }

  /** The resource is no longer the pool's. */
  #forget(resource: unknown): void {
    const opening = this.#owners.remove(resource);
    if (opening === undefined) return;
    opening.endpoint.load.open--;
    this.#unused();
  }

  /** When nothing is open or in flight, the pool may have been closed, and nothing must be left behind. */
  #unused(): void {
    if (--this.#uses > 0) return;
    for (const probe of this.backgroundProbes) {
      probe.abort(new Error("Nobody uses the endpoints any more"));
    }
  }
}
