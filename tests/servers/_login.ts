/** The login between a dial and the first request. */

import type { Connector, ConnectorContext, Lease } from "@x/sockpool";

/** A connector that logs in as part of its dial: the pool closes a connection whose login fails, hangs or is aborted. */
export function loggingIn<T, L extends Lease<T>>(
  inner: Connector<T, L>,
  logIn: (resource: T, context: ConnectorContext) => Promise<unknown>,
): Connector<T, L> {
  return { ...inner, init: async (resource, context) => void await logIn(resource, context) };
}
