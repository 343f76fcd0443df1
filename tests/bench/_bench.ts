/**
 * How a benchmark is written, and how it is run.
 *
 * A subject is a file here, `pool.ts` say, whose default export is a list of
 * cases. A case has two or more contenders do the same: sockpool, what a user
 * would take instead, and, where there is one, the floor, which is the least
 * that could do it, written in the benchmark.
 *
 * ```ts ignore
 * import { type Case, timed } from "./_bench.ts";
 *
 * export default [{
 *   name: "sequential", // short: goals and plots find the case by it
 *   per: "acquire and release", // what one operation is
 *   unit: "ns",
 *   isQuick: true, // one of the selection of `--quick`
 *   contenders: () => [ // made when the case's turn has come
 *     timed("sockpool", "ours", 1_000, async () => { … }), // 1,000 operations a call
 *     timed("floor", "floor", 1_000, async () => { … }),
 *     timed("tarn", "peer", 1_000, async () => { … }, () => pool.destroy()),
 *   ],
 * }] satisfies Case[];
 * ```
 *
 * `timed` calls the function again and again for a sample's time. Where that
 * will not do (only part of a call is to be timed, or bytes are measured), give
 * a contender a `measure` of its own, which resolves to one sample in the case's
 * unit. Less is better, always.
 *
 * The cases of a subject run in one process, one after the other. In each, all
 * contenders are warmed up; then every round takes one sample of each, in an order
 * that is balanced over the rounds. The figures are the medians of the samples; a ratio
 * is the median of the ratios of each round, so that what slows down a whole round
 * does not change it.
 *
 * What is hoped for is added to `goals.ts`, and what is shown in the README to
 * `tools/plot_bench.ts`.
 *
 * @module
 */

/** What a contender is. Several may be `ours`: the first is the one that ratios are about. */
export type Role = "ours" | "floor" | "peer";

/** How long and how often is measured. */
export interface Effort {
  /** How long a sample of `timed` takes, in milliseconds. */
  readonly sampleTime: number;
  readonly warmUps: number;
  readonly rounds: number;
}

/** One who does what a case is about. */
export interface Contender {
  readonly name: string;
  readonly role: Role;
  /** Whether `--quick` leaves it out: one that is so slow that no goal can be about it. */
  readonly isSlow?: boolean;
  /** Takes one sample, in the case's unit, of one operation. */
  measure(effort: Effort): number | Promise<number>;
  /** Is told that no more samples will be taken. */
  close?(): unknown;
}

/** One thing that is measured. */
export interface Case {
  readonly name: string;
  /** What one operation is. */
  readonly per: string;
  /** Of what is measured: time or memory. */
  readonly unit: "ns" | "B";
  /** Whether it is one of the selection of `--quick`. */
  readonly isQuick?: boolean;
  /** What is unlike other cases: more rounds where a small difference matters, say. */
  readonly effort?: Partial<Effort>;
  /** Makes the contenders; none if the case cannot be run here, for a reason that it prints. */
  contenders(): Contender[] | Promise<Contender[]>;
  /** Is told that the contenders are closed. */
  close?(): unknown;
}

/** The samples of one contender. */
export interface Row {
  readonly name: string;
  readonly role: Role;
  readonly median: number;
  readonly samples: number[];
}

/** What has been measured of a case. */
export interface CaseResult {
  readonly name: string;
  readonly per: string;
  readonly unit: "ns" | "B";
  readonly rows: Row[];
}

const THOROUGH: Effort = { sampleTime: 50, warmUps: 4, rounds: 9 };
const QUICK: Effort = { sampleTime: 20, warmUps: 3, rounds: 5 };

/** A contender whose function does so many operations a call, which are timed. */
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
      const began = performance.now();
      let calls = 0;
      let elapsed;
      do {
        await run();
        calls++;
        elapsed = performance.now() - began;
      } while (elapsed < sampleTime);
      return elapsed * 1e6 / (calls * operations);
    },
    ...close && { close },
  };
}

/** What is told while cases run. */
export interface Reports {
  /** A case is done. */
  result(result: CaseResult): void;
  /** So large a share of all is done, and this case is running. */
  progress?(share: number, name: string): void;
}

/** Runs the cases one after the other, and tells of each as it is done. */
export async function runCases(
  cases: readonly Case[],
  isQuick: boolean,
  { result, progress }: Reports,
): Promise<void> {
  for (const [i, each] of cases.entries()) {
    const onRound = (share: number) => progress?.((i + share) / cases.length, each.name);
    const measured = await runCase(each, isQuick ? QUICK : THOROUGH, onRound);
    if (measured.rows.length > 0) result(measured);
  }
}

async function runCase(
  given: Case,
  usual: Effort,
  onRound: (share: number) => void,
): Promise<CaseResult> {
  const { name, per, unit } = given;
  const effort = { ...usual, ...given.effort };
  const made = await given.contenders();
  const all = made.filter(({ isSlow }) => !(isSlow && usual === QUICK));
  const samples = new Map<Contender, number[]>(all.map((contender) => [contender, []]));
  try {
    for (let round = -effort.warmUps; round < effort.rounds; round++) {
      onRound((round + effort.warmUps) / (effort.rounds + effort.warmUps));
      for (const contender of inTurn(all, round + effort.warmUps)) {
        await nextTurn();
        const sample = await contender.measure(effort);
        if (round >= 0) samples.get(contender)!.push(significant(sample));
      }
    }
  } finally {
    for (const contender of made) await contender.close?.();
    await given.close?.();
  }
  const rows = all.map((contender) => {
    const { name, role } = contender;
    const own = samples.get(contender)!;
    return { name, role, median: significant(median(own)), samples: own };
  });
  return { name, per, unit, rows };
}

/** By how much one contender's figure is that of another: below 1 if it is better. */
export function ratio(one: Row, other: Row): number {
  return median(one.samples.map((sample, round) => sample / other.samples[round]!));
}

/** The contender that the case is about. */
export function ours({ rows }: CaseResult): Row {
  return rows.find(({ role }) => role === "ours")!;
}

/** The floor, if there is one. */
export function floor({ rows }: CaseResult): Row | undefined {
  return rows.find(({ role }) => role === "floor");
}

/** The peer with the least median, if there is one. */
export function bestPeer({ rows }: CaseResult): Row | undefined {
  const peers = rows.filter(({ role }) => role === "peer");
  return peers.sort((a, b) => a.median - b.median)[0];
}

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}

/**
 * The order of a round: over the rounds each comes after each other equally often, since
 * some leave the machine in a worse state than they found it (E. J. Williams, 1949).
 */
function inTurn<T>(items: readonly T[], round: number): T[] {
  const { length } = items;
  const places = items.map((_, i) => (i % 2 === 0 ? i / 2 : length - (i + 1) / 2) + round);
  const order = places.map((place) => items[place % length]!);
  return Math.floor(round / length) % 2 === 0 ? order : order.reverse();
}

/** Lets timers and the garbage of the former have their turn. To force a collection slows down what comes after it. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

function significant(value: number): number {
  return Number(value.toPrecision(4));
}
