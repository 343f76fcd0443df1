/** What comes between a dial and the first request. */

import type { Connector, ConnectorContext, Lease } from "@x/sockpool";

/** A connector that logs in as a part of its dial: what fails, hangs or is aborted is closed by the pool. */
export function loggingIn<T, L extends Lease<T>>(
  inner: Connector<T, L>,
  logIn: (resource: T, context: ConnectorContext) => Promise<unknown>,
): Connector<T, L> {
  return { ...inner, init: async (resource, context) => void await logIn(resource, context) };
}
