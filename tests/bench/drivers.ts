/** Drivers for databases: each over our pool, and over its own. Needs the servers. */

import { Pool } from "../../mod.ts";
import type { OwnPool, Rivals } from "../servers/_npm.ts";
import { type Server, serverNeeds } from "../servers/_process.ts";
import { reasonToSkip } from "../support/needs.ts";
import { type Case, type Contender, type Role, timed } from "./_bench.ts";

// Of every pool here.
const SIZE = 10;
/** How many requests are made in one go. */
const REQUESTS = 100;

interface Subject {
  readonly programs: readonly string[];
  serve(): Promise<Server>;
  rivals(port: number): Promise<Rivals<object>>;
}

const npm = () => import("../servers/_npm.ts");

const subjects: Record<string, Subject> = {
  pg: {
    programs: ["postgres", "initdb"],
    async serve() {
      const { PostgresServer } = await import("../servers/_postgres.ts");
      return await new PostgresServer().start();
    },
    rivals: async (port) => await (await npm()).pgOf(port) as Rivals<object>,
  },
  mysql2: {
    programs: ["mariadbd", "mariadb-install-db"],
    async serve() {
      const { MariaDbServer } = await import("../servers/_mariadb.ts");
      return await new MariaDbServer().start();
    },
    rivals: async (port) => await (await npm()).mysqlOf(port) as Rivals<object>,
  },
  redis: {
    programs: ["redis-server"],
    async serve() {
      const { RedisServer } = await import("../servers/_redis.ts");
      return await new RedisServer().start();
    },
    rivals: async (port) => await (await npm()).redisOf(port) as unknown as Rivals<object>,
  },
};

/** Callers that share the requests. */
async function requests(callers: number, echo: (tag: string) => Promise<unknown>): Promise<void> {
  let left = REQUESTS;
  const caller = async () => {
    while (left-- > 0) await echo("tag");
  };
  await Promise.all(Array.from({ length: callers }, caller));
}

function contender(
  name: string,
  role: Role,
  callers: number,
  { echo, [Symbol.asyncDispose]: close }: OwnPool,
): Contender {
  return timed(name, role, REQUESTS, () => requests(callers, echo), close);
}

function sockpool({ connector, echo }: Rivals<object>): OwnPool {
  const pool = new Pool(connector, { maxSize: SIZE });
  return {
    echo: (tag) => pool.use(({ value }) => echo(value, tag)),
    [Symbol.asyncDispose]: () => pool.close(),
  };
}

function request(driver: string, callers: number): Case {
  const { programs, serve, rivals } = subjects[driver]!;
  let server: Server | undefined;
  return {
    name: `${driver}, ${callers} caller${callers > 1 ? "s" : ""}`,
    per: "request",
    by: "cpu",
    async contenders() {
      const reason = reasonToSkip(serverNeeds(programs));
      if (reason !== undefined) {
        console.log(`${driver} is left out: ${reason}\n`);
        return [];
      }
      server = await serve();
      const both = await rivals(server.port);
      return [
        contender("sockpool", "ours", callers, sockpool(both)),
        contender("its own pool", "peer", callers, both.ownPool(SIZE)),
      ];
    },
    close: () => server?.[Symbol.asyncDispose](),
  };
}

export default Object.keys(subjects).flatMap((driver) =>
  [1, 10, 50].map((callers) => request(driver, callers))
);
