import type { ConnectContext } from "../../pool/mod.ts";

/** What a pool would pass to `connect`, for tests that call a connector themselves. */
export function contextOf(signal: AbortSignal = new AbortController().signal): ConnectContext {
  return { signal, retire: () => {} };
}
