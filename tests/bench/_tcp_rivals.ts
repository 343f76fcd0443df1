/** Pools of connections over TCP that do something else than one echo after the other. */

import type { Contestant } from "./_alone.ts";
import { type Case, type Contender, type Effort, timed } from "./_bench.ts";
import { exchange } from "./_borrowers.ts";
import { Stopwatch } from "./_cpu_time.ts";
import { sequential, tasks } from "./_loops.ts";
import { generic, lending, queueing, type Rival } from "./_rivals.ts";
import { type Route, transports } from "./_transports.ts";

const SIZE = 10;

interface Kind extends Contestant {
  make(route: Route): Rival | Promise<Rival>;
}

const KINDS: readonly Kind[] = [
  { name: "sockpool", role: "ours", make: (route) => lending(route.pool(SIZE)) },
  { name: "bare FIFO", role: "floor", make: queue },
  {
    name: "generic-pool",
    role: "peer",
    make(route) {
      const open = () => route.connect();
      return generic({ open, close: (conn) => conn.close() }, SIZE);
    },
  },
];

export const TCP_CONTESTANTS: readonly Contestant[] = KINDS;

/** The least that could lend connections: a queue of promises over them. */
async function queue(route: Route): Promise<Rival> {
  const conns = await Promise.all(Array.from({ length: SIZE }, () => route.connect()));
  return {
    ...queueing(conns),
    close() {
      for (const conn of conns) conn.close();
    },
  };
}

function overTcp(
  name: string,
  per: string,
  enter: (kind: Kind, rival: Rival) => Contender,
  effort: Partial<Effort> = {},
): Case {
  let route: Route | undefined;
  return {
    name: `TCP, ${name}`,
    per,
    by: "cpu",
    effort,
    async contenders(only) {
      const to = route = await transports.TCP!();
      const kinds = KINDS.filter(({ name }) => only === undefined || only === name);
      return await Promise.all(kinds.map(async (kind) => enter(kind, await kind.make(to))));
    },
    close: () => route?.[Symbol.asyncDispose](),
  };
}

export const releaseToWaiter: Case = overTcp(
  "release to a waiter",
  "acquire and release",
  ({ name, role }, rival) =>
    timed(name, role, 1_000, () => tasks(rival, 100, 10), () => rival.close()),
);

/** One after the other, with rests between them; all that the main thread does is counted, also in the rests. */
function withRests(
  rest: number,
  count: number,
  run: (rival: Rival) => Promise<void>,
): (kind: Kind, rival: Rival) => Contender {
  return ({ name, role }, rival) => ({
    name,
    role,
    async measure() {
      const watch = new Stopwatch();
      watch.start();
      for (let i = 0; i < count; i++) {
        await run(rival);
        await new Promise((resolve) => setTimeout(resolve, rest));
      }
      watch.stop();
      return watch.per(count);
    },
    close: () => rival.close(),
  });
}

const talk = exchange(64);

async function echo(rival: Rival): Promise<void> {
  const conn = await rival.acquire();
  try {
    await talk(conn as Deno.Conn);
  } finally {
    rival.release(conn);
  }
}

/** To be run alone: in one process, what a pool does in the rests would count for all. */
export const resting: readonly Case[] = [
  overTcp(
    "acquire after a rest",
    "acquire, release and rest of 2 ms",
    withRests(2, 5, (rival) => sequential(rival, 1)),
  ),
  overTcp(
    "an echo every 50 ms",
    "echo and rest of 50 ms",
    withRests(50, 2, echo),
    { warmUps: 5, rounds: 30 },
  ),
];

export default resting;
