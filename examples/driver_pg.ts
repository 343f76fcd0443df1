#!/usr/bin/env -S deno run --allow-net=127.0.0.1 --allow-run --allow-read --allow-write --allow-env
/**
 * Pooling a driver: `pg`. Its clients are the resources; 30 callers share four of
 * them, a statement that fails costs no connection, and a session that the server
 * ends while idle is replaced unnoticed. It uses the given server, or starts a
 * PostgreSQL on loopback, or prints what is missing. Prints the results and the pool.
 *
 *     deno run --allow-net --allow-run --allow-read --allow-write --allow-env examples/driver_pg.ts
 *     deno run --allow-net --allow-env examples/driver_pg.ts postgres://USER:PASSWORD@HOST/DATABASE
 */

import { Socket } from "node:net";
import type { Client } from "npm:pg@8.23.1";
import { type Connector, Pool } from "../mod.ts";
import { need } from "./_permission.ts";
import { SERVER_FLAGS, startPostgres, withServer } from "./_server.ts";

/** A connector of clients of `pg`. */
export async function pgConnector(
  connectionString: string,
  options: { query_timeout?: number } = {},
): Promise<Connector<Client>> {
  const { default: pg } = await import("npm:pg@8.23.1");
  const sockets = new WeakMap<Client, Socket>();
  return {
    connect({ retire }) {
      const socket = new Socket(); // our own, so that it can be destroyed
      const client = new pg.Client({ connectionString, stream: () => socket, ...options });
      sockets.set(client, socket);
      client.on("error", retire); // lost while idle: it is replaced. Without a listener the process would end
      client.on("end", () => retire("the server has hung up"));
      return client; // nothing is open yet, so nothing can be left open
    },
    // Dial and login in one. If they fail or take too long, the pool closes the client.
    init: async (client) => void await client.connect(),
    async close(client, reason) {
      const socket = sockets.get(client)!;
      if (reason === "init") return void socket.destroy(); // a goodbye would wait for the dial
      const hasHung = setTimeout(() => socket.destroy(), 1_000); // a server that hangs does not answer
      await client.end().finally(() => clearTimeout(hasHung));
    },
    // For clients that were idle for half a second or longer: finds half-open connections.
    check: (client) => client.query("SELECT 1").then(() => true),
    // What a borrower has set does not reach the next one, nor do named statements. In an open transaction
    // this fails: the client is retired.
    reset: async (client) => void await client.query("DISCARD ALL"),
    // A statement that fails does not harm the session.
    isFatal: (error) => (error as { severity?: string } | null)?.severity !== "ERROR",
    // A wrong password is final.
    isRetryable: (error) => !/^28/.test(`${(error as { code?: string } | null)?.code}`),
    watch: (client) => client.unref(), // an idle client does not keep the process alive
    unwatch: (client) => client.ref(),
  };
}

if (import.meta.main) {
  await need(undefined, SERVER_FLAGS);
  await withServer(startPostgres, demonstrate);
}

async function demonstrate(url: URL) {
  await using pool = new Pool(await pgConnector(url.href), {
    maxSize: 4,
    acquireTimeout: 8_000,
    retry: { attempts: 11, minDelay: 20 }, // ten seconds or so: a new server does not listen yet
  });
  const select = (sql: string, values: unknown[] = []) =>
    pool.use(async ({ value: client }) =>
      Object.values((await client.query(sql, values)).rows[0] as object)
    );

  const callers = Array.from({ length: 30 }, (_, i) => `caller ${i}`);
  const replies = await Promise.all(callers.map((caller) => select("SELECT $1::text", [caller])));
  console.log("each caller had its own reply:", `${replies}` === `${callers}`);

  const error = await select("SELECT 1 / 0").catch((error) => error);
  console.log(`an error: ${error.message}`);

  const ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity " +
    "WHERE pid <> pg_backend_pid() AND usename = current_user AND backend_type = 'client backend'";
  await pool.warm(4);
  const [count] = await select(ended);
  while (pool.stats.retired.lost < Number(count)) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  console.log("idle sessions that the server has ended, and that the pool has replaced:", count);
  console.log("served all the same:", ...await select("SELECT 'yes'"));

  console.log(`${pool.stats.dials.ok} connections: ${pool}`);
}
