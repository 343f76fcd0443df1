import { type Case, type Contender, timed } from "./_bench.ts";
import type { Exchange } from "./_borrowers.ts";
import { Pool } from "../../mod.ts";
import { generic } from "./_rivals.ts";
import { type Route, transports } from "./_transports.ts";

// What both pools are made with: what sockpool has by default.
const SIZE = 10;

const messages: Record<string, number> = { "64 B": 64, "64 KiB": 65_536 };

/** What all contenders of a case have in common. */
interface Task {
  readonly route: Route;
  readonly borrowers: number;
  readonly size: number;
}

type Borrowers = typeof import("./_borrowers.ts");

/** A contender with a copy of the borrowers' code for itself, optimised for its connections alone. */
async function contender(
  name: string,
  role: Contender["role"],
  { borrowers, size }: Task,
  turn: (exchange: Exchange, borrower: number) => Promise<void>,
  close?: () => unknown,
): Promise<Contender> {
  const { all, exchange }: Borrowers = await import(`./_borrowers.ts?${name}`);
  const exchanges = Array.from({ length: borrowers }, () => exchange(size));
  const turns = Math.ceil(100 / borrowers);
  return timed(name, role, borrowers * turns, () => all(exchanges, turns, turn), close);
}

async function sockpool(task: Task): Promise<Contender> {
  const pool = task.route.pool(SIZE);
  const turn = async (exchange: Exchange) => {
    using conn = await pool.acquire();
    await exchange(conn);
  };
  return await contender("sockpool", "ours", task, turn, () => pool.close());
}

/** The same without `using`, as with any other pool: what V8 takes for that is seen in the difference. */
async function sockpoolFinally(task: Task): Promise<Contender> {
  const pool = task.route.pool(SIZE);
  const turn = async (exchange: Exchange) => {
    const conn = await pool.acquire();
    try {
      await exchange(conn);
    } finally {
      conn.release();
    }
  };
  return await contender("sockpool, finally", "ours", task, turn, () => pool.close());
}

/** The same with Deno's own connections, which nobody watches, as in the other pools. */
async function sockpoolBare(task: Task): Promise<Contender> {
  const { route } = task;
  const pool = new Pool(() => route.connect(), { maxSize: SIZE });
  const turn = async (exchange: Exchange) => {
    const lease = await pool.acquire();
    try {
      await exchange(lease.value);
    } finally {
      lease.release();
    }
  };
  return await contender("sockpool, finally, bare", "ours", task, turn, () => pool.close());
}

/** No pool at all: every borrower has a connection for itself. */
async function dedicated(task: Task): Promise<Contender> {
  const conns = await Promise.all(
    Array.from({ length: task.borrowers }, () => task.route.connect()),
  );
  const turn = (exchange: Exchange, borrower: number) => exchange(conns[borrower]!);
  return await contender("dedicated", "floor", task, turn, () => {
    for (const conn of conns) conn.close();
  });
}

async function genericPool(task: Task): Promise<Contender> {
  const pool = generic({
    open: () => task.route.connect(),
    close: (conn) => conn.close(),
  }, SIZE);
  const turn = async (exchange: Exchange) => {
    const conn = await pool.acquire();
    try {
      await exchange(conn as Deno.Conn);
    } finally {
      pool.release(conn);
    }
  };
  return await contender("generic-pool", "peer", task, turn, pool.close);
}

/** One sample is one round of them, so that ports do not run out. */
async function newConnections(task: Task): Promise<Contender> {
  const turn = async (exchange: Exchange) => {
    using conn = await task.route.connect();
    await exchange(conn);
  };
  const { measure, ...rest } = await contender("new connections", "peer", task, turn);
  return { ...rest, measure: (effort) => measure({ ...effort, sampleTime: 0 }) };
}

function echo(transport: string, message: string, borrowers: number): Case {
  let route: Route | undefined;
  const name = `${transport}, ${message}, ${borrowers} borrower${borrowers > 1 ? "s" : ""}`;
  const isProof = name === "TCP, 64 B, 10 borrowers";
  return {
    name,
    per: "echo",
    unit: "ns",
    isQuick: isProof,
    ...isProof && { effort: { rounds: 21 } },
    async contenders() {
      route = await transports[transport]!();
      const task = { route, borrowers, size: messages[message]! };
      const makers = [sockpool, dedicated, genericPool, newConnections];
      if (isProof) makers.push(sockpoolFinally, sockpoolBare);
      return await Promise.all(makers.map((make) => make(task)));
    },
    close: () => route?.[Symbol.asyncDispose](),
  };
}

export default Object.keys(transports).flatMap((transport) =>
  Object.keys(messages).flatMap((message) =>
    [1, 10, 100].map((borrowers) => echo(transport, message, borrowers))
  )
);
