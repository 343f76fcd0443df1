import { DeadlineQueue } from "../../internal/deadline_queue.ts";
import { shown } from "../../internal/text.ts";
import { closeResource, type ConnectContext, type ConnectorContext } from "../../pool/connector.ts";
import { Lease, type LeaseSlot } from "../../pool/lease.ts";
import type { Permit } from "../../pool/semaphore.ts";
import type { RetireReason } from "../../pool/stats.ts";
import { type AnyConnector, Endpoint, select, type Selection } from "./endpoint.ts";
import {
  Admission,
  isObject,
  type Leave,
  Opening,
  releasePermit,
  ResourceOwners,
  TrackedSlot,
} from "./ownership.ts";
import {
  type Attempt,
  calling,
  final,
  isFinal,
  Race,
  type RaceContext,
  type Winner,
} from "./race.ts";

/** How a group treats its endpoints. Times are in milliseconds. */
export interface GroupSettings {
  readonly minDelay: number;
  readonly maxDelay: number;
  readonly attemptDelay: number;
  readonly now: () => number;
}

/** Several endpoints behind one connector: dials one of them, and remembers which opened which resource. */
export class EndpointGroup implements RaceContext {
  readonly endpoints: readonly Endpoint[];
  readonly selection: Selection;
  readonly attemptDelay: number;
  readonly now: () => number;
  readonly limits: DeadlineQueue;
  readonly backgroundProbes = new Set<Attempt>();
  turn = 0;
  /** Permits that were granted and not yet taken by a race, in order. */
  readonly #admissions = new Set<Admission>();
  readonly #owners = new ResourceOwners();
  /** The number of dials in flight and of open resources. */
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
    this.limits = new DeadlineQueue(settings.now);
    this.limits.close(); // a connector is never told that it is no longer needed
  }

  /** The connector of the group. It has only the methods that an endpoint has. */
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

  /**
   * Takes the permit of the endpoint that would be dialled now, so that this wait is no part
   * of the dial. The permit of an endpoint that is down, or that is dialled because another
   * failed, is taken in the race.
   */
  async admit({ signal }: ConnectorContext): Promise<Permit> {
    for (;;) {
      signal.throwIfAborted();
      const endpoint = select(this.endpoints, this.selection, this.now())!;
      const mayAsk = endpoint.hasAdmit && endpoint.breaker.isClosed;
      if (!mayAsk) return this.#admitted(endpoint, undefined);
      const admission = await this.#admitTo(endpoint, signal);
      if (admission !== undefined) return admission;
    }
  }

  async connect(context: ConnectContext): Promise<unknown> {
    const admission = this.#takeAdmission();
    this.#uses++;
    try {
      context.signal.throwIfAborted();
      const winner = await new Race(this, context, admission).run();
      const opening = await this.#own(winner);
      if (admission !== undefined) admission.opening = opening;
      return winner.resource;
    } catch (error) {
      admission?.drop();
      this.#unused();
      throw error;
    }
  }

  lease(slot: LeaseSlot<unknown>): Lease<unknown> {
    const tracked = new TrackedSlot(slot, (resource) => this.#forget(resource));
    return this.#ownerOf(slot.resource).lease?.(tracked) ?? new Lease(tracked);
  }

  close(resource: unknown, reason: RetireReason): void | PromiseLike<void> {
    const opening = this.#openingOf(resource);
    const { endpoint, openedAt } = opening;
    if (endpoint.isBroken(resource)) endpoint.load.lost(openedAt, this.now());
    this.#forget(resource);
    return opening.close(() => closeResource(endpoint.connector, resource, reason));
  }

  get lingering(): number {
    return this.endpoints.reduce((sum, { lingering }) => sum + lingering, 0);
  }

  /** The methods that one of the connectors has; where another lacks it, the default holds. */
  #sharedMethods(): Partial<AnyConnector> {
    const of = (resource: unknown) => this.#ownerOf(resource);
    const methods: Partial<AnyConnector> = {
      admit: (context) => this.admit(context),
      check: (resource, context) => {
        const connector = of(resource);
        return connector.check === undefined || connector.check(resource, context);
      },
      reset: (resource, context) => of(resource).reset?.(resource, context),
      isBroken: (resource) => of(resource).isBroken?.(resource) ?? false,
      isFatal: (error, resource) => of(resource).isFatal?.(error, resource) ?? true,
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

  /** Waits for the permit of an endpoint. Returns undefined if it goes down meanwhile, so that another is asked. */
  async #admitTo(endpoint: Endpoint, signal: AbortSignal): Promise<Admission | undefined> {
    const controller = new AbortController();
    const { breaker, connector, load } = endpoint;
    load.waiting++;
    const permit = calling(() => connector.admit!({ signal: controller.signal }));
    const isSettled = await settledBefore(permit, (stop) => {
      signal.addEventListener("abort", stop);
      const unsubscribe = breaker.onChange(stop);
      if (signal.aborted) queueMicrotask(stop);
      return () => {
        signal.removeEventListener("abort", stop);
        unsubscribe();
      };
    });
    load.waiting--;
    if (isSettled) return this.#admitted(endpoint, { permit, controller });
    permit.then(releasePermit, () => {});
    controller.abort(signal.aborted ? signal.reason : new Error("The endpoint is down"));
    return undefined;
  }

  #admitted(endpoint: Endpoint, leave: Leave | undefined): Admission {
    const admission = new Admission(endpoint, leave, () => this.#withdraw(admission));
    this.#admissions.add(admission);
    endpoint.load.waiting++;
    return admission;
  }

  #takeAdmission(): Admission | undefined {
    const [admission] = this.#admissions;
    if (admission !== undefined) this.#withdraw(admission);
    return admission;
  }

  #withdraw(admission: Admission): void {
    if (this.#admissions.delete(admission)) admission.endpoint.load.waiting--;
  }

  /** Records which endpoint opened the resource, if it has an identity. */
  async #own({ endpoint, resource, permit }: Winner): Promise<Opening> {
    const opening = new Opening(endpoint, this.now(), permit);
    if (this.#owners.add(resource, opening)) return opening;
    endpoint.load.open--;
    if (isObject(resource)) {
      opening.releasePermit();
      throw new Error(`connect() of ${endpoint.name} gave what is open already`);
    }
    await opening.close(() => closeResource(endpoint.connector, resource, "surplus"));
    const kind = typeof resource === "string" ? "a string" : shown(resource);
    throw final(
      new TypeError(
        `Cannot pool ${kind} as another endpoint has opened the same: only objects can be told apart`,
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

  /** The resource was detached from the pool. */
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
      probe.abort(new Error("The endpoints are not used any more"));
    }
  }
}

/** Whether a promise settles before it is stopped. `begin` gets a function that stops the wait, and returns its cleanup. */
function settledBefore(
  promise: Promise<unknown>,
  begin: (stop: () => void) => () => void,
): Promise<boolean> {
  return new Promise((resolve) => {
    const end = begin(() => {
      end();
      resolve(false);
    });
    const settle = () => {
      end();
      resolve(true);
    };
    promise.then(settle, settle);
  });
}
