import { Pool, tcp } from "../../mod.ts";
import { Fifo } from "./_fifo.ts";
import { bare, generic, lightning, type Rival, sockpool, tarn, trivial } from "./_rivals.ts";

/** Adds `count` more, all of which stay. */
export type Hoard = (more: number) => unknown;

/** Creates a hoard of at most `count`; sockets are connected to the port. */
type Begin = (most: number, port: number) => Hoard | Promise<Hoard>;

type Make = (trade: ReturnType<typeof trivial>, size: number) => Rival;

const makers: Record<string, Make> = {
  "sockpool": sockpool,
  "bare FIFO": bare,
  "generic-pool": generic,
  "lightning-pool": lightning,
  "tarn": tarn,
};

/** Callers that wait for a resource that does not come. */
function waiters(make: Make): Begin {
  return async () => {
    const pool = make(trivial(), 1);
    await pool.acquire();
    const waiting: unknown[] = [];
    return (more) => {
      for (let i = 0; i < more; i++) waiting.push(pool.acquire());
    };
  };
}

/** Idle resources, which were all leased at once and released. */
function idleResources(make: Make): Begin {
  return (most) => {
    const pool = make(trivial(), most);
    let size = 0;
    return async (more) => {
      size += more;
      const borrowed: unknown[] = [];
      while (borrowed.length < size) borrowed.push(await pool.acquire());
      for (const resource of borrowed) pool.release(resource);
    };
  };
}

function bareResources(): Hoard {
  const pool = new Fifo<unknown>([]);
  const { open } = trivial();
  return (more) => {
    for (let i = 0; i < more; i++) pool.release(open());
  };
}

// This many dials at once are within the backlog of the server.
const DIALS = 100;

// Longer than sockpool takes to begin the watch of an idle socket.
const REST = 100;

function idleSockets(): Begin {
  return (maxSize, port) => {
    const pool = new Pool(tcp({ port }), { maxSize, maxConnecting: DIALS });
    let size = 0;
    return async (more) => {
      size += more;
      await pool.warm(size);
      await new Promise((resolve) => setTimeout(resolve, REST));
    };
  };
}

/** The platform's connections, left alone or read from, to notice their end. */
function bareSockets(use: (conn: Deno.Conn) => void): Begin {
  return (_most, port) => {
    const conns: Deno.Conn[] = [];
    return async (more) => {
      for (let i = 0; i < more; i += DIALS) {
        const dials = Array.from({ length: DIALS }, () => Deno.connect({ port }));
        const dialled = await Promise.all(dials);
        dialled.forEach(use);
        conns.push(...dialled);
      }
    };
  };
}

function park(conn: Deno.Conn): void {
  conn.read(new Uint8Array(1)).catch(() => {});
}

const each = (begin: (make: Make) => Begin) =>
  Object.fromEntries(Object.entries(makers).map(([name, make]) => [name, begin(make)]));

/** The hoards, by kind and owner. */
export const hoards: Record<string, Record<string, Begin>> = {
  "waiter": each(waiters),
  "idle resource": { ...each(idleResources), "bare FIFO": bareResources },
  "idle socket": {
    "sockpool": idleSockets(),
    "bare": bareSockets(() => {}),
    "bare, read parked": bareSockets(park),
  },
};
