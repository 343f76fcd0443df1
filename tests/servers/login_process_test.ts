import { assert, assertGreater, assertLessOrEqual } from "@std/assert";
import { delay } from "@std/async";
import {
  type Connector,
  failover,
  KeyedPool,
  Pool,
  type Socket,
  type SocketLease,
  tcp,
  tls,
  unix,
} from "@x/sockpool";
import { descriptorsStayFlat, figures } from "./_load.ts";
import { postgres, PostgresError, PostgresServer, select } from "./_postgres.ts";
import { certificates, type Server, serverTest } from "./_process.ts";
import { call, echo, RedisError, RedisServer } from "./_redis.ts";

type SocketConnector = Connector<Socket, SocketLease>;
type Way = "tcp" | "tls" | "unix";

const WAYS: readonly Way[] = ["tcp", "tls", "unix"];
const CALLERS = 8;
const RETRY = { minDelay: 100, maxDelay: 5_000 };

/** A server with logins, and what a client does there. */
interface Kind<S extends Server> {
  readonly programs: readonly string[];
  listen(): S;
  connector(server: S, way: Way, password: () => string): SocketConnector;
  isRefusal(error: unknown): boolean;
  request(conn: SocketLease): Promise<unknown>;
}

const postgresql: Kind<PostgresServer> = {
  programs: ["postgres", "initdb"],
  listen: () => new PostgresServer(),
  connector: (server, way, password) => postgres(server, way, {}, password),
  isRefusal: (error) => error instanceof PostgresError && error.isRefusal,
  request: (conn) => select(conn, "hello"),
};

const redis: Kind<RedisServer> = {
  programs: ["redis-server"],
  listen: () => new RedisServer([], "secret"),
  connector: ({ port, tlsPort, path }, way, password) => {
    const login = {
      init: async (conn: Socket) => void await call(conn, "AUTH", password()),
      isRetryable: (error: unknown) => !(error instanceof RedisError),
    };
    const caCerts = [certificates.authority()];
    const connectors: Record<Way, () => unknown> = {
      tcp: () => tcp({ port, ...login as object }),
      tls: () => tls({ port: tlsPort, caCerts, ...login as object }),
      unix: () => unix({ path, ...login as object }),
    };
    return connectors[way]() as SocketConnector; // their addresses do not matter here
  },
  isRefusal: (error) => error instanceof RedisError,
  request: (conn) => echo(conn, "hello"),
};

type AnyPool = Pick<Pool<Socket, SocketLease>, "acquire" | "use" | "stats"> & AsyncDisposable;

const pools: Record<string, (connector: SocketConnector) => AnyPool> = {
  "a Pool": (connector) => new Pool(connector, { retry: RETRY }),
  "a Pool of a failover()": (connector) => new Pool(failover(connector), { retry: RETRY }),
  "a KeyedPool": (connector) => {
    const hosts = new KeyedPool((_key: string) => connector, { retry: RETRY });
    const { acquire, use } = hosts.at("a");
    const statsOf = () => hosts.stats as unknown as AnyPool["stats"];
    return {
      acquire,
      use,
      get stats() {
        return statsOf();
      },
      [Symbol.asyncDispose]: () => hosts.close(),
    };
  },
};

/** Whether this error, or the only one that an endpoint gave, is one that a predicate knows. */
function isOrHolds(is: (error: unknown) => boolean, error: unknown): boolean {
  return is(error) || error instanceof AggregateError && error.errors.every(is);
}

function paced<S extends Server>(title: string, kind: Kind<S>): void {
  for (const way of WAYS) {
    for (const [what, poolOf] of Object.entries(pools)) {
      serverTest(
        kind.programs,
        `${title} over ${way} that refuses the password of ${what} is seldom dialled, and served once that is right`,
        async () => {
          await using server = await kind.listen().start();
          await using _flat = descriptorsStayFlat();
          let password = "wrong";
          await using pool = poolOf(kind.connector(server, way, () => password));
          const begun = performance.now();
          let refused = 0;
          const insist = async (times: number) => {
            for (let call = 0; call < times; call++) {
              await pool.use((conn) => kind.request(conn)).then(
                () => assert(password === "secret", "served with a wrong password"),
                (error) => {
                  assert(isOrHolds(kind.isRefusal, error), String(error));
                  refused++;
                },
              );
              await delay(10);
            }
          };
          await Promise.all(Array.from({ length: CALLERS }, () => insist(60)));
          const time = performance.now() - begun;
          const dials = pool.stats.dials.failed;
          figures({ refused, dials, time: Math.round(time) });
          // The first of each caller, and then one after 100 ms, 200 more, 400 more and so on.
          assertLessOrEqual(dials, CALLERS + Math.ceil(Math.log2(time / RETRY.minDelay + 1)) + 1);
          assertGreater(refused, 10 * dials);

          password = "secret";
          const mended = performance.now();
          while (pool.stats.dials.ok === 0) await insist(1);
          assertLessOrEqual(performance.now() - mended, RETRY.maxDelay + time);
        },
      );
    }
  }
}

paced("PostgreSQL", postgresql);
paced("Redis", redis);
