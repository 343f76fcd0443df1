/** What the compiler makes of the options: these functions are checked, not called. */

import { assertEquals } from "@std/assert";
import {
  type Connector,
  failover,
  KeyedPool,
  type KeyedPoolOptions,
  Lease,
  type LeaseSlot,
  Pool,
  type PoolHooks,
  type PoolOptions,
  roundRobin,
  type Socket,
  type SocketLease,
  tcp,
  tls,
  type TlsLease,
  unix,
  webSocket,
  type WebSocketConnection,
  type WebSocketLease,
} from "../../mod.ts";

/** True if two types are the same, not only assignable. */
type Same<A, B> = (<X>() => X extends A ? 1 : 2) extends (<X>() => X extends B ? 1 : 2) ? true
  : false;

type LeaseOf<P> = P extends Pool<never, infer L> ? L
  : P extends Pool<infer _T, infer L> ? L
  : never;

interface Thing {
  readonly n: number;
}

class ThingLease extends Lease<Thing> {
  get next(): number {
    return this.value.n + 1;
  }
}

/** Names a test of types, whose function is only compiled. */
function compiled(name: string, types: () => void): void {
  Deno.test(name, () => assertEquals(typeof types, "function"));
}

compiled("types: what init gives is the state of each lease", () => {
  const login = new Pool(tcp({ port: 1, init: () => Promise.resolve({ id: 1 }) }));
  true satisfies Same<LeaseOf<typeof login>["state"], { id: number }>;
  const none = new Pool(tcp({ port: 1 }));
  true satisfies Same<LeaseOf<typeof none>["state"], undefined>;
  const secure = new Pool(tls({ port: 1, init: () => "session" }));
  true satisfies Same<LeaseOf<typeof secure>["state"], string>;
  const local = new Pool(unix({
    path: "/none",
    init: () => 1,
    accept: ({ state }) => void (true satisfies Same<typeof state, number>),
    isFatal: (_error, { state }) => state > 1,
  }));
  true satisfies Same<LeaseOf<typeof local>["state"], number>;
  const chat = new Pool(webSocket({ url: "ws://none", init: () => ({ id: 1 }) }));
  true satisfies Same<LeaseOf<typeof chat>["state"], { id: number }>;
});

compiled("types: hooks get the resource that the connector opens, and do not widen it", () => {
  const pool = new Pool(() => ({ n: 1 }), {
    hooks: {
      onConnect: ({ resource }) => void (true satisfies Same<typeof resource, { n: number }>),
      onRetire: ({ resource, reason }) => reason === "recycled" && resource.n,
    },
  });
  pool.observe({ onRelease: ({ resource }) => resource.n });
  new KeyedPool((_: string) => tls({ port: 1 }), {
    hooks: (key) => ({ onAcquire: ({ resource }) => key + resource.alpnProtocol }),
  }).observe((key, text) => ({ onRelease: ({ resource }) => resource.alpnProtocol + key + text }));
  const ofAny: PoolHooks = {};
  const observed = new Pool(() => ({ n: 1 }), { hooks: ofAny });
  true satisfies Same<LeaseOf<typeof observed>, Lease<{ n: number }>>;
  const keyed = new KeyedPool((_: string) => () => ({ n: 1 }), { hooks: ofAny });
  keyed.use("a", ({ value }) => void (true satisfies Same<typeof value, { n: number }>));
  // @ts-expect-error: the hook is for another resource
  new Pool(() => ({ n: 1 }), { hooks: { onConnect: (_: { resource: { m: number } }) => {} } });
});

compiled("types: a pool, a connector, hooks and options of a resource fit those of any", () => {
  const pool: Pool<unknown> = new Pool(tcp({ port: 1, init: () => 1 }));
  const keyed: KeyedPool<string, unknown> = new KeyedPool((_: string) => tls({ port: 1 }));
  const connectors: Connector<unknown>[] = [tcp({ port: 1 }), webSocket({ url: "ws://none" })];
  const hooks: PoolHooks = {} as PoolHooks<Thing>;
  const options: PoolOptions = {} as PoolOptions<Thing>;
  const keyedOptions: KeyedPoolOptions<string> = {} as KeyedPoolOptions<string, Thing>;
  return [pool, keyed, connectors, hooks, options, keyedOptions];
});

compiled(
  "types: a connector of one's own is inferred whole, with members that may be undefined",
  () => {
    const check = (): ((thing: Thing) => boolean) | undefined => undefined;
    const pool = new Pool({
      connect: (): Thing => ({ n: 1 }),
      init: ({ n }, { signal }) => void [n, signal],
      check: check(),
      isBroken: undefined,
      lease: (slot) => new ThingLease(slot),
      close: ({ n }, reason) => void [n, reason === "init"],
      watch: ({ n }, { lost, wanted, prepare }) => void [n, lost, wanted, prepare],
      probe: ({ n }, { wait, rested }) => void [n, wait, rested],
    });
    true satisfies Same<LeaseOf<typeof pool>, ThingLease>;

    class Things implements Connector<Thing, ThingLease> {
      connect(): Thing {
        return { n: 1 };
      }
      isBroken({ n }: Thing): boolean {
        return n < 0;
      }
      lease(slot: LeaseSlot<Thing>): ThingLease {
        return new ThingLease(slot);
      }
    }
    class MoreThings extends Things {
      override isBroken(thing: Thing): boolean {
        return super.isBroken(thing);
      }
    }
    const methods = new Pool(new MoreThings());
    true satisfies Same<LeaseOf<typeof methods>, ThingLease>;
  },
);

compiled("types: connectors over several endpoints keep the lease of those", () => {
  const [one, two] = [tcp({ port: 1 }), tcp({ port: 2 })];
  const listed = new Pool(roundRobin(one, two));
  const optioned = new Pool(failover([one, two], { minDelay: undefined }));
  const spread = new Pool(roundRobin(...[one, two]));
  true satisfies Same<LeaseOf<typeof listed>, SocketLease<Deno.NetAddr>>;
  true satisfies Same<LeaseOf<typeof optioned>, SocketLease<Deno.NetAddr>>;
  true satisfies Same<LeaseOf<typeof spread>, SocketLease<Deno.NetAddr>>;
  const mixed = new Pool(failover(one, unix({ path: "/none" })));
  mixed.use((conn: Deno.Conn) => conn.localAddr);
  const nested = new Pool(failover(roundRobin(one, two), tcp({ port: 3 })));
  nested.use((conn) => conn.writeAll("all"));
  const things: Connector<Thing, ThingLease> = {
    connect: () => ({ n: 1 }),
    lease: (slot) => new ThingLease(slot),
  };
  new Pool(roundRobin(things)).use((lease) => lease.next);
});

compiled("types: borrowers reach no plumbing of a socket", () => {
  type Plumbing =
    | ("watch" | "unwatch" | "probe" | "settle" | "lend" | "drain" | "ping" | "forsake")
    | ("isBroken" | "isStale" | "uses" | "slot" | "connection");
  type Reached =
    | keyof Socket
    | keyof SocketLease
    | keyof TlsLease
    | keyof WebSocketConnection
    | keyof WebSocketLease;
  true satisfies Same<Extract<Reached, Plumbing>, never>;
});
