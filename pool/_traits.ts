import type { Connector } from "./connector.ts";
import type { Lease } from "./lease.ts";

/**
 * Which optional methods a connector has. Connectors have many shapes, and to find
 * out that one lacks a method takes a search each time. So they are looked up when
 * the pool is made and before each dial, which takes far longer.
 */
export class ConnectorTraits<T, L extends Lease<T>> {
  readonly #connector: Connector<T, L>;
  admits = false;
  breaks = false;
  checks = false;
  probes = false;
  resets = false;
  watches = false;
  makesLeases = false;

  constructor(connector: Connector<T, L>) {
    this.#connector = connector;
    this.lookUp();
  }

  lookUp(): void {
    const { admit, isBroken, check, probe, reset, watch, lease } = this.#connector;
    this.admits = admit !== undefined;
    this.breaks = isBroken !== undefined;
    this.checks = check !== undefined;
    this.probes = probe !== undefined;
    this.resets = reset !== undefined;
    this.watches = watch !== undefined;
    this.makesLeases = lease !== undefined;
  }
}
