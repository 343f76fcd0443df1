import { closeResource, type ConnectContext } from "../pool/connector.ts";
import type { RetireReason } from "../pool/stats.ts";
import { Lease, type LeaseSlot } from "../pool/lease.ts";
import type { Attempt } from "./_attempt.ts";
import type { Preference } from "./_choice.ts";
import { Dial, type DialContext, type Opened } from "./_dial.ts";
import { type AnyConnector, Endpoint } from "./_endpoint.ts";
import type { ResolvedEndpointOptions } from "./_endpoint_options.ts";
import { type Opening, Openings } from "./_openings.ts";
import { TrackedSlot } from "./_tracked_slot.ts";
import { final } from "./_unreachable.ts";

/** Several endpoints behind one connector: dials one of them, and remembers which has opened what. */
export class EndpointGroup implements DialContext {
  readonly endpoints: readonly Endpoint[];
  readonly prefer: Preference;
  readonly attemptDelay: number;
  readonly clock: () => number;
  readonly strays = new Set<Attempt>();
  turn = 0;
  readonly #openings = new Openings();
  /** How many dials are in flight and resources open. */
  #uses = 0;

  constructor(
    connectors: readonly AnyConnector[],
    prefer: Preference,
    options: ResolvedEndpointOptions,
  ) {
    this.endpoints = connectors.map((each, index) => new Endpoint(each, index, options));
    this.prefer = prefer;
    this.attemptDelay = options.attemptDelay;
    this.clock = options.clock;
  }

  get lingering(): number {
    return this.endpoints.reduce((sum, { connector }) => sum + (connector.lingering?.() ?? 0), 0);
  }

  /** Whether any of the connectors has a method. */
  has(method: keyof AnyConnector): boolean {
    return this.endpoints.some(({ connector }) => connector[method] !== undefined);
  }

  async connect(context: ConnectContext): Promise<unknown> {
    context.signal.throwIfAborted();
    this.#uses++;
    try {
      const opened = await new Dial(this, context).run();
      await this.#admit(opened);
      return opened.resource;
    } catch (error) {
      this.#unused();
      throw error;
    }
  }

  /** The connector that has opened a resource. */
  connectorOf(resource: unknown): AnyConnector {
    return this.#openingOf(resource).endpoint.connector;
  }

  lease(slot: LeaseSlot<unknown>): Lease<unknown> {
    const tracked = new TrackedSlot(slot, (resource) => this.#forget(resource));
    return this.connectorOf(slot.resource).lease?.(tracked) ?? new Lease(tracked);
  }

  close(resource: unknown, reason: RetireReason): void | PromiseLike<void> {
    const { endpoint, openedAt } = this.#openingOf(resource);
    if (endpoint.isBroken(resource)) endpoint.load.lost(openedAt, this.clock());
    this.#forget(resource);
    return closeResource(endpoint.connector, resource, reason);
  }

  /** Notes whose the resource is, if that can be known of it. */
  async #admit({ endpoint, resource }: Opened): Promise<void> {
    if (this.#openings.enter(resource, { endpoint, openedAt: this.clock() })) return;
    endpoint.load.open--;
    if (Object(resource) === resource) throw new Error("connect() gave what is open already");
    await closeResource(endpoint.connector, resource, "surplus");
    throw final(
      new TypeError(
        `Cannot pool ${
          String(resource)
        } as another endpoint has opened the same: only objects can be told apart`,
      ),
    );
  }

  #openingOf(resource: unknown): Opening {
    const opening = this.#openings.of(resource);
    if (opening === undefined) {
      throw new TypeError("None of the endpoints has opened this resource");
    }
    return opening;
  }

  /** The resource is the pool's no more. */
  #forget(resource: unknown): void {
    const opening = this.#openings.leave(resource);
    if (opening === undefined) return;
    opening.endpoint.load.open--;
    this.#unused();
  }

  /** When nothing is open or in flight, the pool may have been closed, and nothing must be left behind. */
  #unused(): void {
    if (--this.#uses > 0) return;
    for (const stray of this.strays) stray.abort(new Error("Nobody uses the endpoints any more"));
  }
}
