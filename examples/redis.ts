#!/usr/bin/env -S deno run --allow-net=127.0.0.1 --allow-run=redis-server
/**
 * A Redis client over a pool: text and nil, a pipeline, an array, an error that
 * costs no connection, fifty callers over four connections. It uses the given server, or
 * starts a `redis-server` on loopback, or prints what is missing. Prints the results and
 * the pool.
 *
 *     deno run --allow-net --allow-run=redis-server examples/redis.ts
 *     deno run --allow-net examples/redis.ts redis://:PASSWORD@HOST:6379/DATABASE
 *     deno run --allow-net --cert CA.pem examples/redis.ts rediss://HOST:6380
 *     deno run --allow-net -R -W examples/redis.ts unix:///run/redis/redis.sock
 */

import { Pool, type SocketConn, type SocketConnector, tcp, tls, unix } from "../mod.ts";
import { endWithout, need } from "./_permission.ts";
import { type Command, exchange, Redis, RedisError } from "./_resp.ts";

const IO_TIMEOUT = 5_000;
const RUN_FLAG = "--allow-run=redis-server";

const [named] = Deno.args;
if (named !== undefined) await demonstrate(new URL(named));
else await demonstrateOnOwnServer();

async function demonstrate(url: URL) {
  await need(permissionsFor(url));
  await using pool = new Pool(redis(url), {
    maxSize: 4,
    acquireTimeout: 5_000,
    retry: { attempts: 11, minDelay: 20 }, // ten seconds or so: a new server does not listen yet
  });
  const client = new Redis(pool);
  const prefix = `sockpool:${crypto.randomUUID()}:`;
  const [text, counter, missing] = [`${prefix}text`, `${prefix}counter`, `${prefix}missing`];

  await client.call("SET", text, "caf\u00e9,\r\nna\u00efve", "EX", 60);
  console.log("text:", await client.call("GET", text));
  console.log("nil:", await client.call("GET", missing));

  const increments: Command[] = Array.from({ length: 1_000 }, () => ["INCR", counter]);
  console.log("a pipeline of 1000 INCR:", (await client.pipeline(increments)).at(-1));
  console.log("an array:", await client.call("MGET", counter, missing, text));

  const error = await client.call("INCR", text).catch((error) => error);
  if (!(error instanceof RedisError)) throw error;
  console.log(`an error: ${error}`);

  await pool.warm(4);
  const callers = Array.from({ length: 50 }, (_, i) => `caller ${i}`);
  const echoes = await Promise.all(callers.map((caller) => client.call("ECHO", caller)));
  console.log("each caller had its own reply:", echoes.join() === callers.join());

  await client.call("DEL", text, counter);
  console.log(`${pool.stats.dials.ok} connections: ${pool}`);
}

function permissionsFor({ protocol, hostname, port, pathname }: URL): Parameters<typeof need>[0] {
  if (protocol !== "unix:") return [{ name: "net", host: `${hostname}:${port || 6379}` }];
  const path = decodeURIComponent(pathname);
  return [{ name: "net", host: `unix:${path}` }, { name: "read", path }, { name: "write", path }];
}

/** Connects to the server of a URL. A connection is lent after its login and the choice of its database. */
function redis(url: URL): SocketConnector {
  const greeting = greetingFor(url);
  const connector = transport(url, {
    ioTimeout: IO_TIMEOUT,
    // The login is part of the dial. If it fails or takes too long, the pool closes the connection.
    async init(socket) {
      const refusal = (await exchange(socket, greeting)).find((it) => it instanceof RedisError);
      if (refusal) throw refusal;
    },
    // A wrong password is final; a server that is starting, or full, is not.
    isRetryable: (error) =>
      !(error instanceof RedisError) || /^(LOADING|ERR max number of clients)/.test(error.message),
  });
  return {
    ...connector,
    check: async (socket) => (await exchange(socket, [["PING"]]))[0] === "PONG",
  };
}

interface LoginOptions {
  readonly ioTimeout: number;
  init(socket: SocketConn): Promise<undefined>;
  isRetryable(error: unknown): boolean;
}

function transport(
  { protocol, hostname, port, pathname }: URL,
  options: LoginOptions,
): SocketConnector {
  switch (protocol) {
    case "redis:":
      return tcp({ hostname, port: Number(port || 6379), ...options });
    case "rediss:":
      return tls({ hostname, port: Number(port || 6379), ...options });
    case "unix:":
      return unix({ path: decodeURIComponent(pathname), ...options });
    default:
      throw new TypeError(`Cannot connect to ${protocol}: only redis:, rediss: and unix:`);
  }
}

function greetingFor({ protocol, username, password, pathname }: URL): Command[] {
  const greeting: Command[] = [];
  const credentials = [username, password].filter(Boolean).map(decodeURIComponent);
  if (password) greeting.push(["AUTH", ...credentials]);
  const database = protocol === "unix:" ? "" : pathname.slice(1);
  if (database) greeting.push(["SELECT", database]);
  return greeting;
}

async function demonstrateOnOwnServer() {
  await need(undefined, [RUN_FLAG]);
  const port = unusedPort();
  const server = startServer(port);
  if (typeof server === "string") return console.log(server);
  try {
    await demonstrate(new URL(`redis://127.0.0.1:${port}`));
  } finally {
    server.kill();
    await server.status;
  }
}

/** Starts a `redis-server`; returns what is missing if it cannot. */
function startServer(port: number): Deno.ChildProcess | string {
  const args = ["--bind", "127.0.0.1", "--port", `${port}`, "--save", "", "--appendonly", "no"];
  try {
    return new Deno.Command("redis-server", { args, stdout: "null", stderr: "null" }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      return "no redis-server here: install one, or name one by its URL";
    }
    if (error instanceof Deno.errors.NotCapable) {
      endWithout(["--allow-net=127.0.0.1", RUN_FLAG]);
    }
    throw error;
  }
}

function unusedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
