/**
 * How to write and run a benchmark.
 *
 * A subject is a file here, `pool.ts` say, whose default export is a list of
 * cases. In a case two or more contenders do the same: sockpool, the alternatives of a
 * user and, if there is one, the floor, which is the smallest code that could do it,
 * written in the benchmark.
 *
 * ```ts ignore
 * import { type Case, timed } from "./_bench.ts";
 *
 * export default [{
 *   name: "sequential", // short: goals and plots refer to it
 *   per: "acquire and release", // one operation
 *   by: "cpu", // what is compared
 *   isQuick: true, // included in `--quick`
 *   contenders: () => [ // created when the case begins
 *     timed("sockpool", "ours", 1_000, async () => { … }), // 1,000 operations a call
 *     timed("floor", "floor", 1_000, async () => { … }),
 *     timed("tarn", "peer", 1_000, async () => { … }, () => pool.destroy()),
 *   ],
 * }] satisfies Case[];
 * ```
 *
 * `timed` calls the function again and again for a sample's time. Where that
 * will not do (only part of a call is to be timed, or bytes are measured), give
 * a contender a `measure` of its own, which resolves to one sample. Less is
 * better, always.
 *
 * The cases of a subject run in one process, one after the other. In each, all
 * contenders are warmed up; then every round takes one short sample of each, in an
 * order that is balanced over the rounds. Times are measured twice, as CPU time of the
 * main thread and as wall time. Cases that keep the CPU busy are compared by CPU time,
 * since other processes of the machine hardly change it; wall time stands beside it.
 *
 * The figure of a contender is the lower quartile of its samples: what disturbs a sample
 * makes it longer, never shorter. A ratio is that of two such figures. Bytes hardly
 * differ from one sample to another; their figure is the median.
 *
 * What V8 makes of a function depends on what else the process has run. A case of
 * `alone` has each contender in a process of its own, with the rounds in turns as ever.
 *
 * Why this is code of our own is said in CONTRIBUTING.md.
 *
 * What is hoped for is added to `goals.ts`. All that is measured stands in
 * docs/performance.md, by `tools/plot_bench.ts`.
 *
 * @module
 */

import { Stopwatch } from "./_cpu_time.ts";
import { type CaseResult, type Measure, quartiles, type Role, type Row } from "./_results.ts";

export type { CaseResult, Measure, Role } from "./_results.ts";

/** What one sample says of one operation. */
export type Sample = { readonly [measure in Measure]?: number };

/** The length and number of samples. */
export interface Effort {
  /** The length of a sample of `timed`, in milliseconds. */
  readonly sampleTime: number;
  readonly warmUps: number;
  readonly rounds: number;
}

/** What does the work of a case: a pool, a limiter, or code that does without. */
export interface Contender {
  readonly name: string;
  readonly role: Role;
  /** Whether `--quick` leaves it out: no goal is about it. */
  readonly isExtra?: boolean;
  /** Takes one sample, of one operation. */
  measure(effort: Effort): Sample | Promise<Sample>;
  /** Called after the last sample. */
  close?(): unknown;
}

/** One thing that is measured. */
export interface Case {
  readonly name: string;
  /** The name of one operation. */
  readonly per: string;
  /** What is compared. */
  readonly by: Measure;
  /** Whether it is included in `--quick`. */
  readonly isQuick?: boolean;
  /** Deviations from the usual effort, such as more rounds for a small difference. */
  readonly effort?: Partial<Effort>;
  /**
   * Makes the contenders; none if the case cannot be run here, for a reason that it prints.
   * If one is named, that one is enough.
   */
  contenders(only?: string): Contender[] | Promise<Contender[]>;
  /** Called when the contenders are closed. */
  close?(): unknown;
}

export const EFFORTS = {
  thorough: { sampleTime: 10, warmUps: 15, rounds: 40 },
  quick: { sampleTime: 5, warmUps: 10, rounds: 16 },
  /** To try a benchmark: the figures mean little. */
  trial: { sampleTime: 2, warmUps: 1, rounds: 2 },
} satisfies Record<string, Effort>;

export type EffortName = keyof typeof EFFORTS;

/** A contender whose timed function does `count` operations per call. */
export function timed(
  name: string,
  role: Role,
  operations: number,
  run: () => unknown,
  close?: () => unknown,
): Contender {
  return {
    name,
    role,
    async measure({ sampleTime }) {
      const watch = new Stopwatch();
      const end = performance.now() + sampleTime;
      let calls = 0;
      watch.start();
      do {
        await run();
        calls++;
      } while (performance.now() < end);
      watch.stop();
      return watch.per(calls * operations);
    },
    ...close && { close },
  };
}

/** Callbacks while cases run. */
export interface Reports {
  /** Called after a case. */
  result(result: CaseResult): void;
  /** Called with the finished share and the running case. */
  progress?(share: number, name: string): void;
}

/** Runs the cases one after the other, and reports each. */
export async function runCases(
  cases: readonly Case[],
  effort: EffortName,
  { result, progress }: Reports,
): Promise<void> {
  for (const [i, each] of cases.entries()) {
    const onRound = (share: number) => progress?.((i + share) / cases.length, each.name);
    const measured = await runCase(each, effort, onRound);
    if (measured.rows.length > 0) result(measured);
  }
}

async function runCase(
  given: Case,
  effortName: EffortName,
  onRound: (share: number) => void,
): Promise<CaseResult> {
  const { name, per, by } = given;
  const effort = effortFor(given, effortName);
  const made = await given.contenders();
  const all = made.filter(({ isExtra }) => !isExtra || effortName !== "quick");
  const samples = new Map<Contender, Sample[]>(all.map((contender) => [contender, []]));
  try {
    for (let round = -effort.warmUps; round < effort.rounds; round++) {
      onRound((round + effort.warmUps) / (effort.rounds + effort.warmUps));
      for (const contender of inTurn(all, round + effort.warmUps)) {
        await nextTurn();
        const sample = await contender.measure(effort);
        if (round >= 0) samples.get(contender)!.push(sample);
      }
    }
  } finally {
    for (const contender of made) await contender.close?.();
    await given.close?.();
  }
  const rows = all.map((contender) => {
    const { name, role } = contender;
    return { name, role, quartiles: quartilesOf(samples.get(contender)!) };
  });
  return { name, per, by, rows };
}

function effortFor(given: Case, name: EffortName): Effort {
  const { trial } = EFFORTS;
  const { sampleTime, warmUps, rounds } = { ...EFFORTS[name], ...given.effort };
  if (name !== "trial") return { sampleTime, warmUps, rounds };
  return {
    sampleTime,
    warmUps: Math.min(warmUps, trial.warmUps),
    rounds: Math.min(rounds, trial.rounds),
  };
}

function quartilesOf(samples: readonly Sample[]): Row["quartiles"] {
  const measures = Object.keys(samples[0] ?? {}) as Measure[];
  return Object.fromEntries(
    measures.map((measure) => [measure, quartiles(samples.map((sample) => sample[measure]!))]),
  );
}

/**
 * The order of a round: over all rounds each contender follows each other equally often,
 * since some leave the machine in a worse state (E. J. Williams, 1949).
 */
function inTurn<T>(items: readonly T[], round: number): T[] {
  const { length } = items;
  const places = items.map((_, i) => (i % 2 === 0 ? i / 2 : length - (i + 1) / 2) + round);
  const order = places.map((place) => items[place % length]!);
  return Math.floor(round / length) % 2 === 0 ? order : order.reverse();
}

/** Waits for timers and garbage collection of the previous contender. A forced collection would slow down the next. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
