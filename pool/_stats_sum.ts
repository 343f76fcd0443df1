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

const COUNTERS = new Counters();
const DURATIONS = ["acquire", "wait", "use", "dial"] as const;

/** Sums the figures of present keys and the counters of dropped ones. */
export class StatsSum {
  readonly #dropped = new Sum();

  /** Adds the counters of a dropped key. */
  add(stats: PoolStats): void {
    this.#dropped.add(stats);
  }

  /** The sum of all, including the present keys. */
  with(present: readonly PoolStats[]): Omit<KeyedPoolStats, "keys" | "maxSize" | "maxPerKey"> {
    const sum = new Sum();
    for (const stats of [this.#dropped, ...present]) sum.add(stats);
    return { ...sum };
  }
}

type Addend = Omit<PoolStats, "maxSize" | "shared">;

class Sum implements Addend {
  size = 0;
  leased = 0;
  idle = 0;
  connecting = 0;
  preparing = 0;
  closing = 0;
  lingering = 0;
  waiting = 0;
  readonly acquires = { ...COUNTERS.acquires };
  readonly dials = { ...COUNTERS.dials };
  readonly retired = { ...COUNTERS.retired };
  readonly durations = {
    acquire: { count: 0, sum: 0 },
    wait: { count: 0, sum: 0 },
    use: { count: 0, sum: 0 },
    dial: { count: 0, sum: 0 },
  };

  add(stats: Addend): void {
    for (const name of GAUGES) this[name] += stats[name];
    addTo(this.acquires, stats.acquires);
    addTo(this.dials, stats.dials);
    addTo(this.retired, stats.retired);
    for (const name of DURATIONS) addTo(this.durations[name], stats.durations[name]);
  }
}

function addTo<Name extends string>(
  sum: Record<Name, number>,
  addend: Readonly<Record<Name, number>>,
): void {
  for (const name of Object.keys(sum) as Name[]) sum[name] += addend[name];
}
