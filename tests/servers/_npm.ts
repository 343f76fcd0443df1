/**
 * Drivers from npm as resources of a pool. The only file that imports them: tests do so when they run,
 * as the drivers look at the environment while they are loaded.
 */

import type { EventEmitter } from "node:events";
import mysql from "npm:mysql2@3.24.6";
import pg from "npm:pg@8.23.1";
import { createClient, createClientPool } from "npm:redis@6.3.1";
import type { Connector } from "@x/sockpool";

/** What a driver has to offer to a pool. */
interface Driver<C> {
  /** Makes a client that is not connected yet. */
  make(): C;
  connect(client: C): Promise<unknown>;
  /** Says good-bye, and closes. */
  end(client: C): Promise<unknown>;
  /** Closes at once; also a client that is still connecting. */
  destroy(client: C): void;
  ping(client: C): Promise<unknown>;
  /** What emits the events by which the driver tells that the connection is lost. */
  emitter(client: C): EventEmitter;
  readonly events: readonly string[];
  ref(client: C): void;
  unref(client: C): void;
}

/**
 * A connector for a driver: it listens to the client's events for as long as it lives, so that a loss
 * is never an uncaught error; what is lost is not lent; an idle client does not hold the process.
 */
function connectorOf<C extends WeakKey>(driver: Driver<C>): Connector<C> {
  const lost = new WeakMap<C, unknown>();
  const watchers = new WeakMap<C, (reason: unknown) => void>();
  return {
    async connect({ signal }) {
      const client = driver.make();
      const onLost = (reason: unknown = new Error("The connection has ended")) => {
        if (!lost.has(client)) lost.set(client, reason);
        watchers.get(client)?.(reason);
      };
      for (const event of driver.events) driver.emitter(client).on(event, onLost);
      const destroy = () => driver.destroy(client);
      signal.addEventListener("abort", destroy);
      try {
        await driver.connect(client);
      } catch (error) {
        destroy();
        throw error;
      } finally {
        signal.removeEventListener("abort", destroy);
      }
      return client;
    },
    async close(client) {
      if (lost.has(client)) driver.destroy(client);
      else await driver.end(client);
    },
    async check(client) {
      await driver.ping(client);
      return true;
    },
    isBroken: (client) => lost.has(client),
    watch(client, { lost }) {
      driver.unref(client);
      watchers.set(client, lost);
    },
    unwatch(client) {
      watchers.delete(client);
      driver.ref(client);
    },
  };
}

/** A request of a driver's client whose reply is its tag. */
export type Echo<C> = (client: C, tag: string) => Promise<unknown>;

/** The same driver over our pool and over its own. */
export interface Rivals<C> {
  readonly connector: Connector<C>;
  readonly echo: Echo<C>;
  /** The driver's own pool, of so many connections. */
  ownPool(size: number): OwnPool;
}

/** A driver's own pool. */
export interface OwnPool extends AsyncDisposable {
  echo(tag: string): Promise<unknown>;
}

/** `pg`. */
export function pgOf(port: number, timeout?: number): Rivals<pg.Client> {
  const config: pg.ClientConfig = {
    ...{ host: "127.0.0.1", port, user: "app", password: "secret", database: "postgres" },
    ...timeout === undefined ? {} : { query_timeout: timeout },
  };
  const select = async (client: Pick<pg.Client, "query">, tag: string) => {
    const { rows } = await client.query<{ tag: string }>("SELECT $1::text AS tag", [tag]);
    return rows[0]!.tag;
  };
  return {
    connector: connectorOf<pg.Client>({
      make: () => new pg.Client(config),
      connect: (client) => client.connect(),
      end: (client) => client.end(),
      destroy: (client) => streamOf(client).destroy(),
      ping: (client) => client.query("SELECT 1"),
      emitter: (client) => client,
      events: ["error", "end"],
      ref: (client) => client.ref(),
      unref: (client) => client.unref(),
    }),
    echo: select,
    ownPool(max) {
      const pool = new pg.Pool({ ...config, max });
      pool.on("error", () => {});
      return { echo: (tag) => select(pool, tag), [Symbol.asyncDispose]: () => pool.end() };
    },
  };
}

/** The socket under a client, for which there is no public name. */
function streamOf(client: pg.Client): { destroy(): void } {
  return (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream;
}

/** `mysql2`. */
export function mysqlOf(port: number, timeout?: number): Rivals<mysql.Connection> {
  const config = { host: "127.0.0.1", port, user: "app", password: "secret" };
  const limit = timeout === undefined ? {} : { timeout };
  // By callback: promise() makes another object for each call, which costs as much as the query.
  const select = (client: mysql.Connection | mysql.Pool, tag: string) =>
    new Promise<unknown>((resolve, reject) => {
      const query = { sql: "SELECT ? AS tag", values: [tag], ...limit };
      (client as mysql.Connection).query(query, (error, rows) => {
        if (error) reject(error);
        else resolve((rows as { tag: string }[])[0]!.tag);
      });
    });
  const stream = (client: mysql.Connection) =>
    (client as unknown as { stream: { ref(): void; unref(): void } }).stream;
  return {
    connector: connectorOf<mysql.Connection>({
      make: () => mysql.createConnection(config),
      connect: (client) => client.promise().connect(),
      end: (client) => client.promise().end(),
      destroy: (client) => client.destroy(),
      ping: (client) => client.promise().ping(),
      emitter: (client) => client as unknown as EventEmitter,
      events: ["error", "end"],
      ref: (client) => stream(client).ref(),
      unref: (client) => stream(client).unref(),
    }),
    echo: select,
    ownPool(connectionLimit) {
      const pool = mysql.createPool({ ...config, connectionLimit });
      const end = () => pool.promise().end().catch(() => {}); // some are closed already
      return { echo: (tag) => select(pool, tag), [Symbol.asyncDispose]: end };
    },
  };
}

function redisClient(port: number, timeout?: number) {
  const limit = timeout === undefined ? {} : { socketTimeout: timeout };
  return createClient({
    socket: { host: "127.0.0.1", port, reconnectStrategy: false, ...limit },
    disableOfflineQueue: true,
  });
}

/** The client of `redis`. */
export type RedisClient = ReturnType<typeof redisClient>;

/** `redis`, its own reconnecting switched off: the pool opens another client instead. */
export function redisOf(port: number, timeout?: number): Rivals<RedisClient> {
  return {
    connector: connectorOf<RedisClient>({
      make: () => redisClient(port, timeout),
      connect: (client) => client.connect(),
      end: (client) => client.close(),
      destroy: (client) => client.isOpen && client.destroy(),
      ping: (client) => client.ping(),
      emitter: (client) => client,
      events: ["error", "end"],
      ref: (client) => client.ref(),
      unref: (client) => client.unref(),
    }),
    echo: (client, tag) => client.echo(tag),
    ownPool(size) {
      const pool = createClientPool({ socket: { host: "127.0.0.1", port } }, {
        minimum: size, // with fewer it leaves a timer behind
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
