import type { BackoffOptions } from "../internal/backoff.ts";
import type { Connector } from "../pool/connector.ts";
import type { Lease } from "../pool/lease.ts";
import { Health } from "./_health.ts";
import { Load } from "./_load.ts";

/** A connector of whatever kind. */
export type AnyConnector = Connector<unknown, Lease<unknown>>;

/** One of the connectors among which is chosen, and what is known of it. */
export class Endpoint {
  readonly connector: AnyConnector;
  readonly name: string;
  readonly health: Health;
  readonly load = new Load();
  /** The turn in which it was dialled last. */
  lastTurn = 0;

  constructor(connector: AnyConnector, index: number, delays: BackoffOptions) {
    this.connector = connector;
    this.name = typeof connector.place === "string" ? connector.place : `connectors[${index}]`;
    this.health = new Health(delays);
  }

  /** Whether a dial that failed so may be tried again here. */
  isRetryable(error: unknown): boolean {
    try {
      return this.connector.isRetryable?.(error) ?? true;
    } catch {
      return false;
    }
  }

  /** Whether a resource can't be used any more, as far as the connector knows. */
  isBroken(resource: unknown): boolean {
    try {
      return this.connector.isBroken?.(resource) ?? false;
    } catch {
      return true;
    }
  }
}
