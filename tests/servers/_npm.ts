/**
 * Drivers from npm as resources of a pool, with the connectors of the examples, and their own pools.
 * Tests import this when they run, since the drivers read the environment when they are loaded.
 */

import mysql from "npm:mysql2@3.24.6";
import pg from "npm:pg@8.23.1";
import { createClientPool } from "npm:redis@6.3.1";
import type { Connector } from "@x/sockpool";
import { mysqlConnector } from "../../examples/driver_mysql2.ts";
import { pgConnector } from "../../examples/driver_pg.ts";
import { type RedisClient, redisConnector } from "../../examples/driver_redis.ts";

/** A request of a driver's client whose reply is its tag. */
export type Echo<C> = (client: C, tag: string) => Promise<unknown>;

/** The same driver over our pool and over its own. */
export interface Rivals<C> {
  readonly connector: Connector<C>;
  readonly echo: Echo<C>;
  /** A request that the server refuses. */
  refused(client: C): Promise<unknown>;
  /** A request that takes a minute. */
  slow(client: C): Promise<unknown>;
  /** Ends the client, which a borrower should not do. */
  end(client: C): unknown;
  /** Leaves the session changed, in a transaction where there are any. */
  litter(client: C): Promise<unknown>;
  /** What is left of that. */
  leftOver(client: C): Promise<unknown>;
  /** A connector with a password that the server does not take from now on. */
  mistaken(client: C): Promise<Connector<C>>;
  /** The driver's own pool, of `size` connections. */
  ownPool(size: number): OwnPool;
}

/** A driver's own pool. */
export interface OwnPool extends AsyncDisposable {
  echo(tag: string): Promise<unknown>;
}

/** `pg`. */
export async function pgOf(port: number, timeout?: number): Promise<Rivals<pg.Client>> {
  const url = `postgres://app:secret@127.0.0.1:${port}/postgres`;
  const limit = timeout === undefined ? {} : { query_timeout: timeout };
  const select = async (client: Pick<pg.Client, "query">, tag: string) => {
    const { rows } = await client.query<{ tag: string }>("SELECT $1::text AS tag", [tag]);
    return rows[0]!.tag;
  };
  return {
    connector: await pgConnector(url, limit),
    echo: select,
    refused: (client) => client.query("SELECT 1 / 0"),
    slow: (client) => client.query("SELECT pg_sleep(60)"),
    end: (client) => client.end(),
    litter: (client) => client.query("SET application_name = 'litter'; CREATE TEMP TABLE litter()"),
    leftOver: async (client) => {
      const sql = "SELECT current_setting('application_name') AS a, to_regclass('litter') AS b";
      const [row] = (await client.query<{ a: string; b: string | null }>(sql)).rows;
      return row!.a + (row!.b ?? "");
    },
    mistaken: () => pgConnector(url.replace("secret", "hunter2")),
    ownPool(max) {
      const pool = new pg.Pool({ connectionString: url, ...limit, max });
      pool.on("error", () => {});
      return { echo: (tag) => select(pool, tag), [Symbol.asyncDispose]: () => pool.end() };
    },
  };
}

/** `mysql2`. */
export async function mysqlOf(port: number, timeout?: number): Promise<Rivals<mysql.Connection>> {
  const config = { host: "127.0.0.1", port, user: "app", password: "secret" };
  const limit = timeout === undefined ? {} : { timeout };
  // By callback: promise() creates an object for each call, which costs as much as the query.
  const select = (client: mysql.Connection | mysql.Pool, tag: string) =>
    new Promise<unknown>((resolve, reject) => {
      const query = { sql: "SELECT ? AS tag", values: [tag], ...limit };
      (client as mysql.Connection).query(query, (error, rows) => {
        if (error) reject(error);
        else resolve((rows as { tag: string }[])[0]!.tag);
      });
    });
  return {
    connector: await mysqlConnector(new URL(`mysql://app:secret@127.0.0.1:${port}/`)),
    echo: select,
    refused: (client) => client.promise().query("SELECT no_such_column"),
    slow: (client) => client.promise().query("SELECT SLEEP(60)"),
    end: (client) => client.promise().end(),
    litter: (client) => client.promise().beginTransaction(),
    leftOver: async (client) => {
      const sql = "SELECT IF(@@in_transaction, 'in a transaction', '') AS a";
      const [rows] = await client.promise().query(sql);
      return (rows as { a: string }[])[0]!.a;
    },
    mistaken: () => mysqlConnector(new URL(`mysql://app:hunter2@127.0.0.1:${port}/`)),
    ownPool(connectionLimit) {
      const pool = mysql.createPool({ ...config, connectionLimit });
      const end = () => pool.promise().end().catch(() => {}); // some are closed already
      return { echo: (tag) => select(pool, tag), [Symbol.asyncDispose]: end };
    },
  };
}

/** `redis`. */
export async function redisOf(port: number, timeout?: number): Promise<Rivals<RedisClient>> {
  const limit = timeout === undefined ? {} : { socketTimeout: timeout };
  return {
    connector: await redisConnector(`redis://127.0.0.1:${port}`, limit),
    echo: (client, tag) => client.echo(tag),
    refused: (client) => client.sendCommand(["NO-SUCH-COMMAND"]),
    slow: (client) => client.blPop("no-such-list", 60),
    end: (client) => client.destroy(),
    litter: (client) =>
      client.sendCommand(["SELECT", "3"]).then(() => client.sendCommand(["MULTI"])),
    leftOver: async (client) => {
      const info = `${await client.sendCommand(["CLIENT", "INFO"])}`;
      return info.includes("db=0 ") && info.includes("multi=-1 ") ? "" : info;
    },
    mistaken: async (client) => {
      await client.sendCommand(["CONFIG", "SET", "requirepass", "secret"]);
      return redisConnector(`redis://:hunter2@127.0.0.1:${port}`);
    },
    ownPool(size) {
      const pool = createClientPool({ socket: { host: "127.0.0.1", port } }, {
        minimum: size, // with fewer it leaves a timer
        maximum: size,
      });
      pool.on("error", () => {});
      const connected = pool.connect();
      return {
        echo: (tag) => connected.then(() => pool.execute((client) => client.echo(tag))),
        [Symbol.asyncDispose]: () => Promise.resolve(pool.destroy()),
      };
    },
  };
}
