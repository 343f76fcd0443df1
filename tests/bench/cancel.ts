import { Pool } from "../../mod.ts";
import type { Case, Contender, Effort } from "./_bench.ts";
import { Stopwatch } from "./_cpu_time.ts";
import { CancellableLine } from "./_cancellable.ts";

/** The signals of the waiters: one for all, or one each. */
type Whose = "one signal" | "own signals";

type Acquire = (signal: AbortSignal) => Promise<unknown>;

/** Times the abort of `count` waiters, until all have rejected. */
function cancelling(
  name: string,
  role: Contender["role"],
  { whose, count, acquire }: { whose: Whose; count: number; acquire: Acquire },
  close?: () => unknown,
): Contender {
  return {
    name,
    role,
    async measure() {
      const controllers = Array.from(
        { length: whose === "one signal" ? 1 : count },
        () => new AbortController(),
      );
      const waiting = Array.from(
        { length: count },
        (_, i) => acquire(controllers[i % controllers.length]!.signal),
      );
      const told = Promise.allSettled(waiting);
      await new Promise((resolve) => setTimeout(resolve)); // so that they wait
      const watch = new Stopwatch();
      watch.start();
      for (const controller of controllers) controller.abort();
      await told;
      watch.stop();
      return watch.per(count);
    },
    ...close && { close },
  };
}

async function sockpool(whose: Whose, count: number): Promise<Contender> {
  const pool = new Pool(() => ({}), { maxSize: 1 });
  const lease = await pool.acquire();
  const acquire: Acquire = (signal) => pool.acquire({ signal });
  return cancelling("sockpool", "ours", { whose, count, acquire }, () => {
    lease.release();
    return pool.close();
  });
}

function bare(whose: Whose, count: number): Contender {
  const line = new CancellableLine();
  const acquire: Acquire = (signal) => line.acquire(signal);
  return cancelling("bare line", "floor", { whose, count, acquire });
}

/** The garbage of 100,000 waiters is collected in some rounds only, so there must be enough rounds. */
function effortOf(whose: Whose, count: number): Partial<Effort> {
  if (count < 100_000) return { warmUps: 3 };
  return whose === "one signal" ? { warmUps: 3, rounds: 15 } : { warmUps: 1, rounds: 5 };
}

function cancel(whose: Whose, count: number): Case {
  return {
    name: `${whose}, ${count.toLocaleString("en")}`,
    per: "aborted waiter",
    by: "cpu",
    isQuick: whose === "one signal" && count !== 10_000,
    effort: effortOf(whose, count),
    contenders: async () => [await sockpool(whose, count), bare(whose, count)],
  };
}

export default (["one signal", "own signals"] as const).flatMap((whose) =>
  [1_000, 10_000, 100_000].map((count) => cancel(whose, count))
) satisfies Case[];
