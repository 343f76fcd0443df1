#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * A live page about pools: an echo server whose load changes, its clients, and the
 * monitor. Prints the address of the page, and each change. On a terminal it runs until
 * Ctrl+C. Otherwise it fetches the figures of its page once, prints them, and ends.
 *
 *     deno run --allow-net examples/monitor.ts
 */

import { KeyedPool, Pool, TaskPool, tcp } from "../mod.ts";
import { monitor } from "../monitor/mod.ts";
import { need } from "./_permission.ts";

await need();

const HOSTNAME = "127.0.0.1";
const isWatched = Deno.stdout.isTerminal();

/** The time that the server takes to answer, and the number of clients. */
interface Mood {
  readonly name: string;
  readonly answerTime: number;
  readonly clients: number;
  readonly isUp?: boolean;
}

const CALM: Mood = { name: "calm", answerTime: 5, clients: 4 };
const MOODS: readonly Mood[] = [
  CALM,
  { name: "rush hour", answerTime: 8, clients: 40 },
  { name: "slow", answerTime: 250, clients: 16 },
  { name: "stalled", answerTime: 60_000, clients: 12 },
  { name: "down", answerTime: 5, clients: 6, isUp: false },
];
const MOOD_TIME = isWatched ? 10_000 : 300;
const MOST_CLIENTS = 40;

const sleep = (time: number) => new Promise<void>((resolve) => setTimeout(resolve, time));

/** Sends back what it receives, after a delay. Its port and mood can change. */
class EchoServer {
  mood = CALM;
  #listener = Deno.listen({ hostname: HOSTNAME, port: 0 });
  readonly port = this.#listener.addr.port;
  #conns = new Set<Deno.Conn>();

  constructor() {
    this.#accept();
  }

  set(mood: Mood): void {
    const wasUp = this.mood.isUp ?? true;
    this.mood = mood;
    const isUp = mood.isUp ?? true;
    if (isUp && !wasUp) {
      this.#listener = Deno.listen({ hostname: HOSTNAME, port: this.port });
      this.#accept();
    }
    if (!isUp && wasUp) this.stop();
  }

  stop(): void {
    this.#listener.close();
    for (const conn of this.#conns) conn.close();
    this.#conns.clear();
  }

  async #accept(): Promise<void> {
    for await (const conn of this.#listener) {
      this.#conns.add(conn);
      this.#answer(conn).catch(() => {}); // the client or the server has hung up
    }
  }

  async #answer(conn: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(64);
    for (let read; (read = await conn.read(buffer)) !== null;) {
      const { mood } = this;
      const until = performance.now() + mood.answerTime * (0.5 + Math.random());
      while (performance.now() < until && this.mood === mood) await sleep(5);
      await conn.write(buffer.subarray(0, read));
    }
  }
}

const server = new EchoServer();
const connector = tcp({ hostname: HOSTNAME, port: server.port, ioTimeout: 4_000 });
const echo = new Pool(connector, {
  name: "echo",
  maxSize: 8,
  acquireTimeout: 3_000,
  track: true,
  leakTimeout: 20_000,
  retry: { attempts: 3, minDelay: 200 },
});
const tenants = new KeyedPool((_tenant: string) => connector, {
  name: "tenants",
  maxSize: 12,
  maxPerKey: 3,
  acquireTimeout: 3_000,
  track: true,
});
const reports = new TaskPool(6);

/** Clients come and go with the mood. The page shows their errors. */
async function client(number: number): Promise<void> {
  while (!echo.closed) {
    if (number >= server.mood.clients) await sleep(50);
    else await ask(number).catch(() => sleep(100));
  }
}

async function ask(number: number): Promise<void> {
  const message = new TextEncoder().encode(`${number}\n`);
  const talk = async (
    conn: { writeAll(bytes: Uint8Array): Promise<void>; readUntil(end: string): Promise<unknown> },
  ) => {
    await conn.writeAll(message);
    await conn.readUntil("\n");
  };
  if (number % 3 === 0) await tenants.use(`tenant-${number % 7}`, talk);
  else await echo.use(talk);
  if (number % 5 === 0) {
    reports.submit(() => sleep(20 + Math.random() * 200)).result.catch(() => {});
  }
  await sleep(Math.random() * 60);
}

const handler = monitor({ echo, tenants, reports }, { title: "Moody echo server" });
const page = Deno.serve({ hostname: HOSTNAME, port: 0, onListen() {} }, handler);
const url = `http://${HOSTNAME}:${page.addr.port}/`;
console.log(`the page is at ${url}`);

const clients = Array.from({ length: MOST_CLIENTS }, (_, number) => client(number));
if (isWatched) {
  console.log("Ctrl+C ends it");
  for (let i = 0;; i++) await changeMood(MOODS[i % MOODS.length]!);
}
for (const mood of [...MOODS, CALM]) await changeMood(mood);
await printSummary();
await end();

async function changeMood(mood: Mood): Promise<void> {
  server.set(mood);
  console.log(`the server is ${mood.name}: ${mood.clients} clients`);
  await sleep(MOOD_TIME);
}

async function printSummary(): Promise<void> {
  const html = await (await fetch(url)).text();
  const metrics = await (await fetch(`${url}metrics`)).text();
  console.log(`\n${html.match(/<title>(.*)<\/title>/)?.[1]}: a page of ${html.length} bytes`);
  const wanted =
    /^(db_client_connection_(count|max|timeouts_total)|sockpool_dial_failures_total)\{/;
  for (const line of metrics.split("\n")) if (wanted.test(line)) console.log(`  ${line}`);
  console.log(`${metrics.match(/^# TYPE/gm)?.length} metrics of 3 pools`);
}

async function end(): Promise<void> {
  await Promise.all([echo.close({ force: true }), tenants.close({ force: true })]);
  await Promise.all(clients);
  await reports.join();
  handler[Symbol.dispose]();
  await page.shutdown();
  server.stop();
}
