/**
 * One of several processes that share permits. It reads commands and reports events, one
 * line of JSON each. Started by `_members.ts`.
 */

import {
  type ClusterPermit,
  ClusterSemaphore,
  denoKvEngine,
  limited,
  redisEngine,
} from "../../cluster/mod.ts";
import { Pool } from "../../pool/mod.ts";
import { type Socket, type SocketLease, tcp } from "../../connectors/mod.ts";
import type { Command, MemberOptions, Sight } from "./_members.ts";
import type { KvStore } from "../../cluster/mod.ts";

const options: MemberOptions = JSON.parse(Deno.args[0]!);
const started = performance.timeOrigin;
const at = () => started + performance.now();
if (options.ahead !== undefined) {
  const { now } = Date;
  const { ahead } = options;
  Date.now = () => now() + ahead;
}

const { engine, end } = await openEngine();
const semaphore = new ClusterSemaphore({ engine, ...options.semaphore });
const held = new Map<string, ClusterPermit>();
let loops: "running" | "ending" = "running";
const looping: Promise<void>[] = [];
let clients: Pool<Socket<Deno.NetAddr>, SocketLease<Deno.NetAddr>> | undefined;

const ticks = setInterval(() => {
  for (const [id, permit] of held) {
    const { token, valid, lost } = permit;
    say({ event: "sees", id, token, valid, lost: lost.aborted });
  }
}, 10);
say({ event: "ready" });
await obey();

async function openEngine() {
  if (options.kv !== undefined) {
    const { openKv } = Deno as unknown as {
      openKv(path: string): Promise<KvStore & { close(): void }>;
    };
    const kv = await openKv(options.kv);
    return { engine: denokv(kv), end: () => Promise.resolve(kv.close()) };
  }
  const pool = new Pool(tcp({ port: options.port! }), { maxSize: 2 });
  return { engine: redisEngine(pool), end: () => pool.close() };
}

function denokv(kv: KvStore) {
  return denoKvEngine(kv, { lookInterval: 50 });
}

function say(sight: Omit<Sight, "at">): void {
  const line = new TextEncoder().encode(JSON.stringify({ ...sight, at: at() }) + "\n");
  for (let written = 0; written < line.length;) {
    written += Deno.stdout.writeSync(line.subarray(written));
  }
}

async function obey(): Promise<void> {
  let text = "";
  for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (text + chunk).split("\n");
    text = lines.pop()!;
    for (const line of lines) await obeyOne(JSON.parse(line));
  }
}

async function obeyOne(command: Command): Promise<void> {
  switch (command.do) {
    case "acquire":
      acquire(command.id);
      return;
    case "release":
      release(command.id);
      return;
    case "loop":
      for (let i = 0; i < command.callers; i++) looping.push(loop(`loop ${i}`, command.hold));
      return;
    case "connect":
      connect(command.port, command.callers);
      return;
    case "end":
      loops = "ending";
      await Promise.all(looping);
      await clients?.close();
      await semaphore.close();
      await end();
      clearInterval(ticks);
      say({ event: "ended" });
      return;
  }
}

function connect(port: number, callers: number): void {
  const inner = tcp({ port });
  const ids = new WeakMap<object, string>();
  let dials = 0;
  const counted: typeof inner = {
    ...inner,
    async connect(context) {
      const id = `${++dials}`;
      say({ event: "opens", id });
      const socket = await inner.connect(context);
      ids.set(socket, id);
      return socket;
    },
    close(socket) {
      socket.close();
      say({ event: "closes", id: ids.get(socket)! });
    },
  };
  const pool = clients = new Pool(limited(counted, semaphore));
  for (let i = 0; i < callers; i++) looping.push(converse(pool));
}

async function converse(pool: NonNullable<typeof clients>): Promise<void> {
  while (loops === "running") {
    try {
      await pool.use(async (conn) => {
        await conn.writeAll("ping");
        await conn.readExactly(4);
      });
      say({ event: "used" });
    } catch (error) { // on a busy machine a permit may be lost, and its connection is closed
      say({ event: "failed", id: "client", error: String(error) });
    }
    await new Promise((resolve) => setTimeout(resolve, 20 * Math.random()));
  }
}

async function acquire(id: string): Promise<void> {
  say({ event: "asks", id });
  try {
    const permit = await semaphore.acquire();
    const { token } = permit;
    permit.lost.addEventListener("abort", () => say({ event: "lost", id, token }));
    held.set(id, permit);
    say({ event: "got", id, token, valid: permit.valid });
  } catch (error) {
    say({ event: "failed", id, error: String(error) });
  }
}

function release(id: string): void {
  const permit = held.get(id);
  if (permit === undefined) return;
  held.delete(id);
  say({ event: "gives", id, token: permit.token, valid: permit.valid });
  permit.release();
}

async function loop(id: string, hold: number): Promise<void> {
  while (loops === "running") {
    await acquire(id);
    await new Promise((resolve) => setTimeout(resolve, hold * (0.5 + Math.random())));
    release(id);
  }
}
