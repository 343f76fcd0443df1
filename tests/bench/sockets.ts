import { alone } from "./_alone.ts";
import { type Case, type Contender, type Role, timed } from "./_bench.ts";
import { all, type Exchange, exchange } from "./_borrowers.ts";
import { type Lease, Pool, type SocketLease } from "../../mod.ts";
import { generic } from "./_rivals.ts";
import { releaseToWaiter, resting, TCP_CONTESTANTS } from "./_tcp_rivals.ts";
import { type Route, transports } from "./_transports.ts";

// The options of both pools: sockpool's defaults.
const SIZE = 10;

const messages: Record<string, number> = { "64 B": 64, "64 KiB": 65_536 };

/** The common part of all contenders of a case. */
interface Task {
  readonly route: Route;
  readonly borrowers: number;
  readonly size: number;
}

/** Where connections come from, for each way to write down that one is given back. */
interface Source<H, L extends Disposable> {
  acquire(borrower: number): Promise<H> | H;
  release(held: H): unknown;
  /** The same, for `using`. */
  lease(borrower: number): Promise<L> | L;
  connOf(held: H | L): Deno.Conn;
  use(borrower: number, body: Exchange): Promise<void>;
  close(): unknown;
}

type Turn = (exchange: Exchange, borrower: number) => Promise<void>;
type Construct = "finally" | "using" | "use";

/** One exchange, in one of the ways to give back: all sources do the same in each. */
function turnIn<H, L extends Disposable>(construct: Construct, source: Source<H, L>): Turn {
  switch (construct) {
    case "finally":
      return async (exchange, borrower) => {
        const held = await source.acquire(borrower);
        try {
          await exchange(source.connOf(held));
        } finally {
          source.release(held);
        }
      };
    case "using":
      return async (exchange, borrower) => {
        using lease = await source.lease(borrower);
        await exchange(source.connOf(lease));
      };
    case "use":
      return (exchange, borrower) => source.use(borrower, exchange);
  }
}

/** What `using` takes, where a connection is not lent by a lease. */
class ConnLease implements Disposable {
  readonly conn: Deno.Conn;
  readonly #release: (conn: Deno.Conn) => unknown;

  constructor(conn: Deno.Conn, release: (conn: Deno.Conn) => unknown) {
    this.conn = conn;
    this.#release = release;
  }

  [Symbol.dispose](): void {
    this.#release(this.conn);
  }
}

const connOf = (held: Deno.Conn | ConnLease) => held instanceof ConnLease ? held.conn : held;

function sockpool({ route }: Task): Source<SocketLease, SocketLease> {
  const pool = route.pool(SIZE);
  const acquire = () => pool.acquire();
  return {
    acquire,
    release: (lease) => lease.release(),
    lease: acquire,
    connOf: (lease) => lease,
    use: (_, body) => pool.use(body),
    close: () => pool.close(),
  };
}

/** Deno's own connections, which are not watched, as in the other pools. */
function sockpoolBare({ route }: Task): Source<Lease<Deno.Conn>, Lease<Deno.Conn>> {
  const pool = new Pool(() => route.connect(), { maxSize: SIZE });
  const acquire = () => pool.acquire();
  return {
    acquire,
    release: (lease) => lease.release(),
    lease: acquire,
    connOf: ({ value }) => value,
    use: (_, body) => pool.use(({ value }) => body(value)),
    close: () => pool.close(),
  };
}

/** No pool: every borrower has its own connection. */
async function dedicated({ route, borrowers }: Task): Promise<Source<Deno.Conn, ConnLease>> {
  const conns = await Promise.all(Array.from({ length: borrowers }, () => route.connect()));
  const release = () => {};
  return {
    acquire: (borrower) => conns[borrower]!,
    release,
    lease: (borrower) => new ConnLease(conns[borrower]!, release),
    connOf,
    async use(borrower, body) {
      try {
        await body(conns[borrower]!);
      } finally {
        release();
      }
    },
    close() {
      for (const conn of conns) conn.close();
    },
  };
}

function genericPool({ route }: Task): Source<Deno.Conn, ConnLease> {
  const pool = generic({
    open: () => route.connect(),
    close: (conn) => conn.close(),
  }, SIZE);
  return {
    acquire: () => pool.acquire() as Promise<Deno.Conn>,
    release: pool.release,
    async lease() {
      return new ConnLease(await pool.acquire() as Deno.Conn, pool.release);
    },
    connOf,
    use: (_, body) => pool.use((conn) => body(conn as Deno.Conn)) as Promise<void>,
    close: pool.close,
  };
}

/** Has the borrowers do about so many exchanges a call. */
function borrowing(
  name: string,
  role: Role,
  { borrowers, size }: Task,
  turn: Turn,
  close?: () => unknown,
  echoes = 100,
): Contender {
  const exchanges = Array.from({ length: borrowers }, () => exchange(size));
  const turns = Math.ceil(echoes / borrowers);
  return timed(name, role, borrowers * turns, () => all(exchanges, turns, turn), close);
}

/** One sample is one round of them, and few, so that ports do not run out. */
function newConnections(task: Task): Contender {
  const turn: Turn = async (exchange) => {
    using conn = await task.route.connect();
    await exchange(conn);
  };
  const { measure, ...rest } = borrowing("new connections", "peer", task, turn, undefined, 20);
  return { ...rest, measure: (effort) => measure({ ...effort, sampleTime: 0 }) };
}

/** In `finally`, unless its name says otherwise. */
function echo(
  transport: string,
  message: string,
  borrowers: number,
  construct: Construct,
): Case {
  const counted = `${borrowers} borrower${borrowers > 1 ? "s" : ""}`;
  const plain = `${transport}, ${message}, ${counted}`;
  const name = construct === "finally" ? plain : `${plain}, ${construct}`;
  const isProof = name === "TCP, 64 B, 10 borrowers";
  let route: Route | undefined;
  return {
    name,
    per: "echo",
    by: "cpu",
    isQuick: plain === "TCP, 64 B, 10 borrowers",
    async contenders() {
      route = await transports[transport]!();
      const task = { route, borrowers, size: messages[message]! };
      const make = <H, L extends Disposable>(name: string, role: Role, source: Source<H, L>) =>
        borrowing(name, role, task, turnIn(construct, source), () => source.close());
      const made = [
        make("sockpool", "ours", sockpool(task)),
        make("dedicated", "floor", await dedicated(task)),
        make("generic-pool", "peer", genericPool(task)),
      ];
      if (construct === "finally") made.push(newConnections(task));
      if (isProof) made.push(make("sockpool, bare", "ours", sockpoolBare(task)));
      return made;
    },
    close: () => route?.[Symbol.asyncDispose](),
  };
}

export default [
  ...Object.keys(transports).flatMap((transport) =>
    Object.keys(messages).flatMap((message) =>
      [1, 10, 100].map((borrowers) => echo(transport, message, borrowers, "finally"))
    )
  ),
  ...(["using", "use"] as const).flatMap((construct) =>
    [1, 10, 100].map((borrowers) => echo("TCP", "64 B", borrowers, construct))
  ),
  releaseToWaiter,
  // In one process, what a pool does in the rests would count for all.
  ...resting.map((given) =>
    alone(given, TCP_CONTESTANTS, new URL("_tcp_rivals.ts", import.meta.url).href)
  ),
] satisfies Case[];
