#!/usr/bin/env -S deno run --allow-net --allow-run --allow-read --allow-write --allow-env
/**
 * Writing a protocol client: PostgreSQL over TCP, TLS and a Unix socket. Thirty
 * callers over four connections, failing statements and cancelled queries, which cost
 * no connection, and sessions that the server ends. It uses the given server, or starts
 * a PostgreSQL, or prints what is missing. Prints for each transport the results and
 * the pool.
 *
 *     deno run --allow-net --allow-run --allow-read --allow-write --allow-env examples/postgres.ts
 *     deno run --allow-net examples/postgres.ts "postgres://USER:PASSWORD@HOST/DATABASE?sslmode=require"
 *     deno run --allow-net -R -W examples/postgres.ts "postgres://USER@localhost/DATABASE?host=/run/postgresql"
 */

import ca from "../tests/support/certs/ca.pem" with { type: "text" };
import { Pool } from "../mod.ts";
import { need } from "./_permission.ts";
import { addressOf, Postgres, postgres, PostgresError, socketPathOf } from "./_postgres.ts";
import { SERVER_FLAGS, startPostgres, withServer } from "./_server.ts";

const [named] = Deno.args;
if (named !== undefined) {
  const url = new URL(named);
  await need(permissionsFor(url));
  await demonstrate("the server that is named", url);
} else {
  await need([{ name: "net" }], SERVER_FLAGS); // the folder of its Unix socket is not known yet
  await withServer(startPostgres, async (url, folder) => {
    await demonstrate("tcp", url);
    await demonstrate("tls", new URL(`${url}?sslmode=require`));
    await demonstrate("unix", new URL(`${url}?host=${folder}`));
  });
}

async function demonstrate(way: string, url: URL) {
  await using pool = new Pool(postgres(url, { caCerts: [ca] }), {
    maxSize: 4,
    acquireTimeout: 8_000,
    retry: { attempts: 11, minDelay: 20 }, // ten seconds or so: a new server does not listen yet
  });
  const client = new Postgres(pool, url);
  const [version] = await pool.use((conn) => [conn.state.parameters.get("server_version")]);
  console.log(`${way}: PostgreSQL ${version}`);

  const callers = Array.from({ length: 30 }, (_, i) => `caller ${i}`);
  const replies = await Promise.all(callers.map((caller) => client.query(`SELECT '${caller}'`)));
  console.log(`${way}: each caller had its own reply: ${`${replies}` === `${callers}`}`);

  const error = await client.query("SELECT 1 / 0").catch((error) => error);
  if (!(error instanceof PostgresError)) throw error;
  console.log(`${way}: an error: ${error.message}`);

  const signal = AbortSignal.timeout(50);
  const reason = await client.query("SELECT pg_sleep(60)", { signal }).catch((error) => error);
  console.log(`${way}: a query is cancelled: ${reason.name}, and the connection is kept`);

  await pool.warm(4);
  const { ok } = pool.stats.dials;
  const [ended] = await client.query(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity " +
      "WHERE pid <> pg_backend_pid() AND usename = current_user AND backend_type = 'client backend'",
  );
  const [answer] = await client.query("SELECT 'served all the same'", { repeatable: true });
  console.log(`${way}: sessions that the server has ended: ${ended}; ${answer}`);
  console.log(`${way}: ${ok} connections before that: ${pool}`);
}

function permissionsFor(url: URL): Parameters<typeof need>[0] {
  const path = socketPathOf(url);
  const { hostname, port } = addressOf(url);
  if (path === undefined) return [{ name: "net", host: `${hostname}:${port}` }];
  return [{ name: "net", host: `unix:${path}` }, { name: "read", path }, { name: "write", path }];
}
