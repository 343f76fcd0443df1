import { Counters, type KeyedPoolStats, type PoolStats } from "./stats.ts";

const GAUGES = [
  "size",
  "leased",
  "idle",
  "connecting",
  "preparing",
  "closing",
  "lingering",
  "waiting",
] as const;

/** Adds up the figures of keys: those there are, and the counters of those there were. */
export class KeyedTotals {
  readonly #gone = new Tally();

  /** A key is dropped, whose counters are to be remembered. */
  add(stats: PoolStats): void {
    this.#gone.add(stats);
  }

  /** The sum of all, with the figures of the keys that there are. */
  with(present: readonly PoolStats[]): Omit<KeyedPoolStats, "keys" | "maxSize" | "maxPerKey"> {
    const sum = new Tally();
    for (const stats of [this.#gone, ...present]) sum.add(stats);
    return { ...sum };
  }
}

type Addend = Omit<PoolStats, "maxSize" | "shared">;

class Tally extends Counters implements Addend {
  size = 0;
  leased = 0;
  idle = 0;
  connecting = 0;
  preparing = 0;
  closing = 0;
  lingering = 0;
  waiting = 0;
  override readonly acquires = { direct: 0, waited: 0, timedOut: 0, aborted: 0 };

  add(stats: Addend): void {
    for (const name of GAUGES) this[name] += stats[name];
    addTo(this.acquires, stats.acquires);
    addTo(this.dials, stats.dials);
    addTo(this.retired, stats.retired);
  }
}

function addTo<Name extends string>(
  sum: Record<Name, number>,
  addend: Readonly<Record<Name, number>>,
): void {
  for (const name in sum) sum[name] += addend[name];
}
