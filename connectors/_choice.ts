import type { Endpoint } from "./_endpoint.ts";

/** Which of the endpoints that are worth dialling is dialled next; there is one at least. */
export type Preference = (worthy: readonly Endpoint[], now: number) => Endpoint;

/** The first. */
export const inOrder: Preference = ([first]) => first!;

/** The one that has the least to carry; of equals the one whose turn is longest ago. */
export const leastLoaded: Preference = (worthy, now) =>
  worthy.reduce((best, each) => {
    const more = each.load.at(now) - best.load.at(now);
    return more < 0 || more === 0 && each.lastTurn < best.lastTurn ? each : best;
  });

/**
 * Chooses one to be dialled, or to be waited for as it is being probed. If none is
 * worth dialling, one is dialled all the same: the one whose turn is longest ago.
 */
export function choose(
  endpoints: readonly Endpoint[],
  prefer: Preference,
  now: number,
): Endpoint | undefined {
  const worthy = endpoints.filter(({ health }) => health.isReady(now) || health.isHopeful);
  if (worthy.length > 0) return prefer(worthy, now);
  return endpoints.toSorted((a, b) => a.lastTurn - b.lastTurn)[0];
}
