#!/usr/bin/env -S deno run --allow-net=127.0.0.1 --allow-run --allow-read --allow-write --allow-env
/**
 * Pooling a driver: `mysql2`. Its connections are the resources; 30 callers share
 * four of them, and a statement that fails costs no connection. It uses the given
 * server, or starts a MariaDB on loopback, or prints what is missing. Prints the
 * results and the pool.
 *
 *     deno run --allow-net --allow-run --allow-read --allow-write --allow-env examples/driver_mysql2.ts
 *     deno run --allow-net --allow-env examples/driver_mysql2.ts mysql://USER:PASSWORD@HOST/DATABASE
 */

import { Socket } from "node:net";
import type { Connection } from "npm:mysql2@3.24.6";
import { type Connector, Pool } from "../mod.ts";
import { need } from "./_permission.ts";
import { SERVER_FLAGS, startMariaDb, withServer } from "./_server.ts";

/** A connector of connections of `mysql2`. */
export async function mysqlConnector(url: URL): Promise<Connector<Connection>> {
  const { default: mysql } = await import("npm:mysql2@3.24.6");
  const { hostname: host, port, href: uri } = url;
  const sockets = new WeakMap<Connection, Socket>();
  return {
    connect({ retire }) {
      const socket = new Socket().connect(Number(port || 3306), host); // our own, so that it can be unref'd
      const connection = mysql.createConnection({ uri, stream: socket });
      sockets.set(connection, socket);
      connection.on("error", retire); // lost while idle: it is replaced. Without a listener the process would end
      socket.on("close", () => retire("the server has hung up"));
      return connection; // not usable yet; the pool closes it if the login fails
    },
    // The login. If it fails or takes too long, the pool closes the connection.
    init: (connection) => connection.promise().connect(),
    async close(connection, reason) {
      const socket = sockets.get(connection)!;
      // A goodbye would wait for the dial, or for the query in which a deadline has ended the body.
      if (reason === "init" || reason === "discarded") return void socket.destroy();
      const hasHung = setTimeout(() => socket.destroy(), 1_000); // a server that hangs does not answer
      await connection.promise().end().finally(() => clearTimeout(hasHung));
      socket.destroySoon(); // the driver would wait for the server's end
    },
    // For connections that were idle for half a second or longer: finds half-open ones.
    check: (connection) => connection.promise().ping().then(() => true),
    // An open transaction does not reach the next borrower.
    reset: (connection) => connection.promise().rollback(),
    // A statement that fails does not harm the session: the server has answered it, with an SQLSTATE.
    isFatal: (error) => (error as { sqlState?: string } | null)?.sqlState === undefined,
    // A wrong password is final.
    isRetryable: (error) => (error as { errno?: number } | null)?.errno !== 1045,
    watch: (connection) => void sockets.get(connection)?.unref(), // an idle one does not keep the process alive
    unwatch: (connection) => void sockets.get(connection)?.ref(),
  };
}

if (import.meta.main) {
  await need(undefined, SERVER_FLAGS);
  await withServer(startMariaDb, demonstrate);
}

async function demonstrate(url: URL) {
  await using pool = new Pool(await mysqlConnector(url), {
    maxSize: 4,
    acquireTimeout: 8_000,
    retry: { attempts: 11, minDelay: 20 }, // ten seconds or so: a new server does not listen yet
  });
  const select = (sql: string, values: unknown[] = []) =>
    pool.use(async ({ value: connection }) => {
      const [rows] = await connection.promise().query({ sql, values, rowsAsArray: true });
      return (rows as unknown[][])[0]![0];
    });

  const callers = Array.from({ length: 30 }, (_, i) => `caller ${i}`);
  const replies = await Promise.all(callers.map((caller) => select("SELECT ?", [caller])));
  console.log("each caller had its own reply:", `${replies}` === `${callers}`);

  const error = await select("SELECT no_such_column").catch((error) => `${error}`);
  console.log(`an error: ${error}`);

  console.log(`${pool.stats.dials.ok} connections: ${pool}`);
}
