import { KeyedPool, type KeyedPoolOptions, tcp } from "../../mod.ts";
import { EchoServer } from "./echo_server.ts";

export interface Thing {
  key: string;
  closed: boolean;
}

/** A keyed pool of resources that know their key, and all resources that it has opened. */
export function thingsPool(options?: KeyedPoolOptions<string>) {
  const opened: Thing[] = [];
  const pool = new KeyedPool((key: string) => ({
    connect: () => {
      const thing = { key, closed: false };
      opened.push(thing);
      return thing;
    },
    close: (thing: Thing) => {
      thing.closed = true;
    },
  }), options);
  const open = (key?: string) =>
    opened.filter((thing) => !thing.closed && (key === undefined || thing.key === key));
  return { pool, opened, open };
}

/** The same, with a key "down" whose dials fail and are retried without limit. */
export function downPool(options: KeyedPoolOptions<string>) {
  const opened: Thing[] = [];
  const pool = new KeyedPool((key: string) => ({
    connect: () => {
      if (key === "down") throw new Error("refused");
      const thing = { key, closed: false };
      opened.push(thing);
      return thing;
    },
    close: (thing: Thing) => {
      thing.closed = true;
    },
  }), { ...options, retry: { attempts: Infinity, minDelay: 2, maxDelay: 2 } });
  const open = (key: string) => opened.filter((thing) => !thing.closed && thing.key === key);
  return { pool, open };
}

/** Two echo servers, and a keyed pool of sockets to them. */
export async function twoServers(
  run: (
    servers: Record<"a" | "b", EchoServer>,
    hosts: (options?: KeyedPoolOptions<"a" | "b">) => ReturnType<typeof hostsOf>,
  ) => Promise<void>,
): Promise<void> {
  await using a = EchoServer.listen();
  await using b = EchoServer.listen();
  await run({ a, b }, (options) => hostsOf({ a, b }, options));
}

export function hostsOf(
  servers: Record<"a" | "b", EchoServer>,
  options?: KeyedPoolOptions<"a" | "b">,
) {
  return new KeyedPool((key: "a" | "b") => tcp({ port: servers[key].port }), options);
}
