import {
  bestPeer,
  type CaseResult,
  figure,
  floor,
  ours,
  ratio,
  type Results,
  type Row,
} from "./_results.ts";

/** A goal. Less is always better. */
export interface Goal {
  readonly subject: string;
  /** The cases of the goal. */
  readonly cases: readonly string[];
  /** The name of the figure in the report. */
  readonly title: string;
  /** Returns undefined if the needed cases were not measured. */
  figure(results: Results): number | undefined;
  readonly atMost: number;
  /**
   * The factor by which the figure may exceed the goal before `--quick` fails, since short
   * runs on a noisy machine differ.
   */
  readonly margin: number;
}

export const goals: readonly Goal[] = [
  ...alsoAlone("sequential", "ours", "floor", 1.45, 1.4),
  ...alsoAlone("sequential", "ours", "best peer", 1 / 3, 1.3),
  ...alsoAlone("100 a turn", "ours", "floor", 2, 1.5),
  ...alsoAlone("100 tasks on 10", "ours", "floor", 1.65, 1.4),
  ...alsoAlone("100 tasks on 10", "ours", "best peer", 1 / 2.5, 1.3),
  ...alsoAlone("100 tasks on 10", "isBroken", "sockpool", 1.15, 1.2),
  ...alsoAlone("100 tasks on 10", "onAcquire hook", "sockpool", 1.25, 1.2),
  ...alsoAlone("100 tasks on 10", "one key", "sockpool", 1.3, 1.2),
  ...alsoAlone("use", "ours", "floor", 1.5, 1.3),
  factor("pool", "20,000 waiters", "floor", 2, 1.4),
  factor("pool", "20,000 waiters", "best peer", 1 / 2, 1.3),
  growth("pool", "1,000 waiters", "100,000 waiters", "floor", 1, 1.5),

  ...[1, 10, 100].flatMap((borrowers) => [
    ...["", ", using", ", use"].map((construct) =>
      factor("sockets", `TCP, 64 B, ${counted(borrowers)}${construct}`, "generic-pool", 1, 1.1)
    ),
    ...["TCP, 64 KiB", "TLS, 64 B", "TLS, 64 KiB", "Unix, 64 B", "Unix, 64 KiB"].map((what) =>
      factor("sockets", `${what}, ${counted(borrowers)}`, "generic-pool", 1, 1.1)
    ),
  ]),
  ...["", ", using", ", use"].map((construct) =>
    factor("sockets", `TCP, 64 B, 10 borrowers${construct}`, "dedicated", 1.05, 1.1)
  ),
  factor("sockets", "TCP, 64 B, 10 borrowers", "new connections", 1 / 5, 1.3),

  amount("memory", "waiter, heap", 250, 1.1),
  amount("memory", "idle socket, heap", 2_048, 1.1, "bare"),
  amount("memory", "key, heap", 3_000, 1.1),
  amount("memory", "empty pool, heap", 2_500, 1.1),

  factor("tasks", "map, 100,000 at 10", "p-map", 1 / 2, 1.3),
  factor("tasks", "map, 100,000 at 10", "floor", 4, 1.3),
  factor("tasks", "stream, 100,000 at 10", "pMapIterable", 1, 1.2),
  factor("tasks", "run, 100 at 10", "p-limit", 0.6, 1.3),
  factor("tasks", "run, 1,000 at 10", "p-limit", 0.6, 1.3),
  factor("tasks", "run, 100,000 at 10", "p-limit", 1 / 2, 1.3),
  amount("tasks", "queued task", 250, 1.1),

  factor("observing", "sequential", "floor", 1.01, 1.2),

  growth("cancel", "one signal, 1,000", "one signal, 100,000", "floor", 1.2, 1.4),
  growth("cancel", "own signals, 1,000", "own signals, 100,000", "floor", 1.2, 1.4),
];

function counted(borrowers: number): string {
  return `${borrowers} borrower${borrowers > 1 ? "s" : ""}`;
}

/** A goal and its figure. */
export interface Verdict {
  readonly goal: Goal;
  readonly figure: number;
  /** Whether it is met, with and without the margin. */
  readonly state: "met" | "nearly" | "missed";
}

/** Judges the goals whose cases were measured. */
export function judge(results: Results, all: readonly Goal[] = goals): Verdict[] {
  return all.flatMap((goal) => {
    const figure = goal.figure(results);
    if (figure === undefined) return [];
    const state = figure <= goal.atMost
      ? "met"
      : figure <= goal.atMost * goal.margin
      ? "nearly"
      : "missed";
    return [{ goal, figure, state }];
  });
}

/** Ours is at most a multiple of another's: `"floor"`, `"best peer"`, or one by name. */
export function factor(
  subject: string,
  name: string,
  than: string,
  atMost: number,
  margin: number,
  row = "ours",
): Goal {
  return {
    subject,
    cases: [name],
    title: `${name}: ${row === "ours" ? "" : `${row} `}× ${than}`,
    atMost,
    margin,
    figure(results) {
      const result = find(results, subject, name);
      if (result === undefined) return undefined;
      const one = contender(result, row);
      const other = contender(result, than);
      return one && other && ratio(result, one, other);
    },
  };
}

/** Two goals for a row of the pool: among the others, and alone. */
function alsoAlone(
  name: string,
  row: string,
  than: string,
  atMost: number,
  margin: number,
): Goal[] {
  return [name, `${name}, alone`].map((name) => factor("pool", name, than, atMost, margin, row));
}

/** From one case to another ours grows at most by a factor, relative to the floor or absolutely. */
function growth(
  subject: string,
  from: string,
  to: string,
  than: "floor" | "itself",
  atMost: number,
  margin: number,
): Goal {
  return {
    subject,
    cases: [from, to],
    title: `${to}, against ${from}: ×${than === "floor" ? " the growth of the floor" : ""}`,
    atMost,
    margin,
    figure(results) {
      const before = find(results, subject, from);
      const after = find(results, subject, to);
      if (before === undefined || after === undefined) return undefined;
      const [much, little] = [after, before].map((result) => {
        return than === "itself"
          ? figure(ours(result), result.by)
          : ratio(result, ours(result), floor(result)!);
      });
      return much! / little!;
    },
  };
}

/** Ours is at most an amount, in excess of another's if one is named. */
function amount(
  subject: string,
  name: string,
  atMost: number,
  margin: number,
  above?: string,
): Goal {
  return {
    subject,
    cases: [name],
    title: above === undefined ? `${name}: bytes` : `${name}: bytes above ${above}`,
    atMost,
    margin,
    figure(results) {
      const result = find(results, subject, name);
      const other = result && above && contender(result, above);
      if (result === undefined) return undefined;
      return figure(ours(result), result.by) - (other ? figure(other, result.by) : 0);
    },
  };
}

function find(results: Results, subject: string, name: string): CaseResult | undefined {
  return results[subject]?.find((result) => result.name === name);
}

function contender(result: CaseResult, name: string): Row | undefined {
  if (name === "ours") return ours(result);
  if (name === "floor") return floor(result);
  if (name === "best peer") return bestPeer(result);
  return result.rows.find((row) => row.name === name);
}
