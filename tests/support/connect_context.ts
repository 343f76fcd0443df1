import type { ConnectContext } from "../../pool/mod.ts";

/** The context that a pool passes to `connect`, for tests that call a connector themselves. */
export function contextOf(signal: AbortSignal = new AbortController().signal): ConnectContext {
  return { signal, retire: () => {} };
}
