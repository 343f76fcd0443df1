#!/usr/bin/env -S deno run --allow-net=127.0.0.1 --allow-run --allow-read --allow-write --allow-env
/**
 * Pooling a driver: `redis`. Its clients are the resources, for commands that
 * block or that need a connection of their own (`WATCH`, `BLPOP`): 30 callers
 * share four of them. It uses the given server, or starts a `redis-server` on
 * loopback, or prints what is missing. Prints the results and the pool.
 *
 *     deno run --allow-net --allow-run --allow-read --allow-write --allow-env examples/driver_redis.ts
 *     deno run --allow-net --allow-env examples/driver_redis.ts redis://:PASSWORD@HOST:6379
 */

import type { createClient } from "npm:redis@6.3.1";
import { type Connector, Pool } from "../mod.ts";
import { need } from "./_permission.ts";
import { SERVER_FLAGS, startRedis, withServer } from "./_server.ts";

/** A client of `redis`. */
export type RedisClient = ReturnType<typeof createClient>;

/** A connector of clients of `redis`. */
export async function redisConnector(
  url: string,
  options: { socketTimeout?: number } = {},
): Promise<Connector<RedisClient>> {
  const { createClient, ErrorReply } = await import("npm:redis@6.3.1");
  return {
    connect({ retire }) {
      const client = createClient({
        url,
        socket: { reconnectStrategy: false, ...options }, // the pool opens another client instead
        disableOfflineQueue: true, // a command on a dead client fails at once
      });
      client.on("error", retire); // lost while idle: it is replaced. Without a listener the process would end
      client.on("end", () => retire("the server has hung up"));
      return client as RedisClient; // nothing is open yet, so nothing can be left open
    },
    // Dial and login in one. If they fail or take too long, the pool closes the client.
    init: async (client) => void await client.connect(),
    close: (client) => client.isOpen ? client.destroy() : undefined, // Redis needs no goodbye
    // For clients that were idle for half a second or longer: finds half-open connections.
    check: (client) => client.ping().then(() => true),
    // WATCH, MULTI or SELECT of a borrower does not affect the next one.
    reset: (client) => client.reset(),
    // A command that fails does not harm the connection.
    isFatal: (error) => !(error instanceof ErrorReply),
    // A wrong password is final.
    isRetryable: (error) =>
      !(error instanceof ErrorReply) || !/^(WRONGPASS|NOAUTH)/.test(error.message),
    watch: (client) => client.unref(), // an idle client does not keep the process alive
    unwatch: (client) => client.ref(),
  };
}

if (import.meta.main) {
  await need(undefined, SERVER_FLAGS);
  await withServer(startRedis, ({ href }) => demonstrate(href));
}

async function demonstrate(url: string) {
  await using pool = new Pool(await redisConnector(url), {
    maxSize: 4,
    acquireTimeout: 8_000,
    retry: { attempts: 11, minDelay: 20 }, // ten seconds or so: a new server does not listen yet
  });
  const key = `sockpool:${crypto.randomUUID()}`;

  const callers = Array.from({ length: 30 }, (_, i) => `caller ${i}`);
  const replies = await Promise.all(
    callers.map((caller) => pool.use(({ value: client }) => client.echo(caller))),
  );
  console.log("each caller had its own reply:", `${replies}` === `${callers}`);

  const waiting = pool.use(({ value: client }) => client.blPop(key, 5)); // on its own connection
  await pool.use(({ value: client }) => client.rPush(key, "an item"));
  console.log("taken from a list:", (await waiting)?.element);

  const error = await pool.use(({ value: client }) => client.sendCommand(["NO-SUCH-COMMAND"]))
    .catch((error) => error);
  console.log(`an error: ${error.message}`);

  console.log(`${pool.stats.dials.ok} connections: ${pool}`);
}
