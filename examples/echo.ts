#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * The use of a pool: 25 clients send 4 messages each to an echo server, first
 * with a connection for each message, then over a pool of 10. The server stands
 * for one that is 20 ms away: a reply takes one round trip, and a new connection
 * three more, for TCP, TLS and a login. Prints how many connections each way took
 * and how long, as the server saw it, and a chart of which client used which
 * socket when. With --restart, the server goes away in mid-run and comes back,
 * and a second chart shows how every client gets its replies all the same.
 *
 *     deno run --allow-net examples/echo.ts [--clients 25] [--max 10] [--messages 4] [--restart]
 */

import { parseArgs } from "node:util";
import { Pool, Semaphore, tcp } from "../mod.ts";

const ROUND_TRIP = 20;
const LOGIN = 3 * ROUND_TRIP;
const OUTAGE = 8 * ROUND_TRIP;
const MOST = 10_000;
const USAGE = "[--clients 25] [--max 10] [--messages 4] [--restart]";
const CHART = { width: 64, rows: 24 };
const GLYPHS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const COLORS = [39, 208, 112, 205, 220, 45, 141, 203, 78, 177, 214, 117]; // of xterm's 256

const { clients, max, messages, restart } = readFlags();
const total = clients * messages;
const isColored = Deno.stdout.isTerminal() && !Deno.noColor;

async function main() {
  const each = clients === 1 ? "" : " each";
  console.log(
    `${plural(clients, "client")} send ${plural(messages, "message")}${each} to a server ` +
      `${ROUND_TRIP} ms away, over at most ${plural(max, "socket")}\n`,
  );
  const [single, pooled] = [await runWithoutPool(), await runWithPool()];
  printComparison(single, pooled);
  printChart("The pool, as the server saw it", pooled);
  if (restart) await runWithRestart();
}

function runWithoutPool() {
  return measure(async (server, everyone) => {
    const permits = new Semaphore(max);
    await everyone(async (message) => {
      using _permit = await permits.acquire();
      using conn = await Deno.connect({ port: server.port });
      return await ask(conn, message);
    });
  });
}

function runWithPool() {
  return measure(async (server, everyone) => {
    await using pool = new Pool(tcp({ port: server.port }), { maxSize: max });
    await everyone(async (message) => {
      using conn = await pool.acquire(); // also a Deno.Conn: nothing else has changed
      return await ask(conn, message);
    });
  });
}

async function runWithRestart() {
  let repeated = 0;
  const run = await measure(async (server, everyone) => {
    const retry = { attempts: Infinity, minDelay: ROUND_TRIP, maxDelay: ROUND_TRIP };
    await using pool = new Pool(tcp({ port: server.port }), { maxSize: max, retry });
    const send = async (message: string, attempts = 3): Promise<string> => {
      try {
        return await pool.use((conn) => ask(conn, message));
      } catch (error) {
        if (attempts === 1 || !isCutOff(error)) throw error;
        repeated++; // an echo request may be repeated
        return await send(message, attempts - 1);
      }
    };
    let replied = 0;
    let outage: Promise<void> | undefined;
    await everyone(async (message) => {
      const reply = await send(message);
      if (++replied >= total / 2) outage ??= server.restart();
      return reply;
    });
    await outage;
  });
  printChart(`The pool, with the server away for ${OUTAGE} ms`, run);
  const [cut, all] = [plural(repeated, "message"), plural(run.sessions.length, "connection")];
  console.log(
    `Every reply was right, for each client. ${cut} cut off and sent again, ${all} in all.`,
  );
}

/** Sends a line over any connection, and reads the reply. */
async function ask(conn: Deno.Conn, message: string): Promise<string> {
  await conn.write(new TextEncoder().encode(message));
  const reply = await readLine(conn);
  if (reply === undefined) throw new Deno.errors.UnexpectedEof("The server hung up");
  return reply;
}

/** Returns undefined at the end. At most one line is in flight. */
async function readLine(conn: Deno.Conn): Promise<string | undefined> {
  const buffer = new Uint8Array(256);
  let line = "";
  while (!line.endsWith("\n")) {
    const count = await conn.read(buffer);
    if (count === null) return undefined;
    line += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return line;
}

function isCutOff(error: unknown): boolean {
  const { UnexpectedEof, ConnectionReset, ConnectionAborted, BrokenPipe } = Deno.errors;
  return [UnexpectedEof, ConnectionReset, ConnectionAborted, BrokenPipe]
    .some((type) => error instanceof type);
}

type Send = (message: string) => Promise<string>;

/** Lets every client send its messages one after the other, and check each reply. */
async function sendAll(send: Send) {
  await Promise.all(Array.from({ length: clients }, async (_, i) => {
    for (let j = 1; j <= messages; j++) {
      const message = `client ${i + 1}, message ${j}\n`;
      const reply = await send(message);
      if (reply !== message) throw new Error(`Sent ${message} and got ${reply}`);
    }
  }));
}

/** The server's record. */
interface Run {
  sessions: Session[];
  /** When it was up. */
  uptime: Span[];
  /** The time to send everything. */
  duration: number;
}

/** Runs a function with its own server. */
async function measure(
  body: (server: EchoServer, everyone: (send: Send) => Promise<void>) => Promise<void>,
): Promise<Run> {
  const server = new EchoServer();
  let duration = 0;
  await body(server, async (send) => {
    await sendAll(send);
    duration = server.now();
  });
  server.stop();
  return { sessions: server.sessions, uptime: server.uptime, duration };
}

/** A span, in milliseconds since the start of the server. */
interface Span {
  from: number;
  to: number;
}

/** A cell of the chart: the number of a client, or a sign. */
type Cell = number | string;

/** A connection, and which client used it when. */
interface Session extends Span {
  port: number;
  uses: (Span & { by: Cell })[];
}

/** Echoes lines, and records its connections. */
class EchoServer {
  readonly sessions: Session[] = [];
  readonly uptime: Span[] = [];
  readonly #open = new Map<Deno.Conn, Session>();
  readonly #start = performance.now();
  #listener: Deno.TcpListener = this.#listen(0);
  readonly port: number = this.#listener.addr.port;

  now(): number {
    return performance.now() - this.#start;
  }

  /** Closes all connections, and listens again after a while. */
  async restart() {
    this.stop();
    await sleep(OUTAGE);
    this.#listener = this.#listen(this.port);
  }

  stop() {
    this.#listener.close();
    this.uptime.at(-1)!.to = this.now();
    for (const conn of [...this.#open.keys()]) this.#close(conn);
  }

  #listen(port: number): Deno.TcpListener {
    const listener = Deno.listen({ hostname: "127.0.0.1", port });
    this.uptime.push({ from: this.now(), to: Infinity });
    this.#accept(listener);
    return listener;
  }

  async #accept(listener: Deno.TcpListener) {
    for await (const conn of listener) {
      if (this.uptime.at(-1)!.to === Infinity) this.#serve(conn);
      else conn.close(); // accepted while the server was stopping
    }
  }

  async #serve(conn: Deno.TcpConn) {
    const from = this.now();
    const session: Session = { port: conn.remoteAddr.port, from, to: Infinity, uses: [] };
    this.sessions.push(session);
    this.#open.set(conn, session);
    try {
      await this.#use(session, "+", LOGIN, from);
      for (let line; (line = await readLine(conn)) !== undefined;) {
        await this.#use(session, Number(line.match(/\d+/)), ROUND_TRIP);
        await conn.write(new TextEncoder().encode(line));
      }
    } catch (error) {
      if (this.#open.has(conn)) throw error; // else stop() has closed it
    }
    this.#close(conn);
  }

  #close(conn: Deno.Conn) {
    const session = this.#open.get(conn);
    if (!session) return;
    this.#open.delete(conn);
    session.to = this.now();
    conn.close();
  }

  async #use(session: Session, by: Cell, time: number, from = this.now()) {
    const use = { by, from, to: Infinity };
    session.uses.push(use);
    await sleep(time);
    use.to = this.now();
  }
}

function printComparison(single: Run, pooled: Run) {
  const longest = Math.max(single.duration, pooled.duration);
  const row = (what: string, { sessions, duration }: Run) => {
    const bar = "#".repeat(Math.round(24 * duration / longest));
    printRow(what, `${sessions.length}`, `${Math.round(duration)} ms`, bar);
  };
  printRow("", "connections", "time");
  row("a connection per message", single);
  row(`a pool of ${max}`, pooled);
  const ratio = (a: number, b: number) => `${(a / b).toFixed(1)} : 1`;
  printRow(
    "ratio",
    ratio(single.sessions.length, pooled.sessions.length),
    ratio(single.duration, pooled.duration),
  );
}

function printRow(what: string, connections: string, time: string, bar = "") {
  console.log(
    `${what.padEnd(24)}${connections.padStart(13)}${time.padStart(11)}  ${bar}`.trimEnd(),
  );
}

/** Draws a row for each connection, from left to right in time. */
function printChart(title: string, { sessions, uptime, duration }: Run) {
  const { width, rows } = CHART;
  const columns = Array.from({ length: width }, (_, i) => (i + 0.5) * duration / width);
  const end = `${Math.round(duration)} ms`;
  console.log(`\n${title}:\n`);
  console.log(`  port  0${end.padStart(width - 1)}`);
  for (const { port, uses, ...life } of sessions.slice(0, rows)) {
    const cells = columns.map((time) => {
      if (!isDuring(life, time)) return " ";
      return uses.find((it) => isDuring(it, time))?.by ?? ".";
    });
    printLine(`${port}`, cells);
  }
  if (sessions.length > rows) console.log(`        and ${sessions.length - rows} more`);
  if (uptime.length > 1) {
    printLine("server", columns.map((time) => uptime.some((it) => isDuring(it, time)) ? "=" : " "));
  }
  const last = GLYPHS[Math.min(clients, GLYPHS.length) - 1];
  const who = clients === 1 ? "A the client" : `A-${last} a client`;
  console.log(`\n  ${who}   + a login   . idle   blank: not open\n`);
}

function printLine(label: string, cells: Cell[]) {
  console.log(`${label.padStart(6)}  ${cells.map(paint).join("")}`.trimEnd());
}

function paint(cell: Cell): string {
  const text = typeof cell === "number" ? glyphOf(cell) : cell;
  if (!isColored || typeof cell === "string") return text;
  return `\x1b[30;48;5;${COLORS[(cell - 1) % COLORS.length]}m${text}\x1b[0m`;
}

/** The signs of clients; they repeat after 62 clients. */
function glyphOf(client: number): string {
  return GLYPHS[(client - 1) % GLYPHS.length]!;
}

function isDuring({ from, to }: Span, time: number): boolean {
  return from <= time && time < to;
}

function plural(count: number, noun: string): string {
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
}

function sleep(time: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, time));
}

/** Asks once for all ports of this machine; without this, Deno asks for each port. */
async function needNetwork() {
  const { state } = await Deno.permissions.request({ name: "net", host: "127.0.0.1" });
  if (state === "granted") return;
  fail(1, "echo.ts needs permission: deno run --allow-net=127.0.0.1 examples/echo.ts");
}

function readFlags() {
  const values = parseFlags();
  return {
    clients: count("clients", values.clients),
    max: count("max", values.max),
    messages: count("messages", values.messages),
    restart: values.restart,
  };
}

function parseFlags() {
  try {
    return parseArgs({
      options: {
        clients: { type: "string", default: "25" },
        max: { type: "string", default: "10" },
        messages: { type: "string", default: "4" },
        restart: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    fail(2, `${(error as Error).message}\nUsage: echo.ts ${USAGE}`);
  }
}

function count(flag: string, text: string): number {
  const value = Number(text);
  const isCount = Number.isInteger(value) && value >= 1;
  if (isCount && value <= MOST) return value;
  const bound = isCount ? `at most ${MOST}` : "at least 1";
  fail(2, `--${flag} must be an integer of ${bound}: received ${text}`);
}

function fail(code: number, message: string): never {
  console.error(message);
  Deno.exit(code);
}

await needNetwork();
await main();
