import { assert } from "@std/assert";
import { type Connector, Pool, type Socket, type SocketLease, tcp, tls } from "../../mod.ts";
import { type Behaviour, EchoServer } from "../support/echo_server.ts";
import { needs } from "../support/needs.ts";
import { TestProxy } from "../support/proxies.ts";
import { certs, listenTls } from "../support/tls_server.ts";

/** Answers every second byte: the first is acknowledged 40 ms later, unless an answer does it. */
const everySecond: Behaviour = async (peer) => {
  if (peer.received % 2 === 0) await peer.write("!");
};

/** How long a request takes that is sent in two writes. */
async function inTwoWrites(conn: SocketLease): Promise<number> {
  const start = performance.now();
  await conn.writeAll("o");
  await conn.writeAll("k");
  await conn.readExactly(1);
  return performance.now() - start;
}

interface Route {
  readonly port: number;
  readonly proxy?: string;
  readonly noDelay?: boolean;
}

const ways = {
  "tcp()": (route: Route) => tcp(route),
  "tls()": (route: Route) => tls({ ...route, caCerts: [certs.ca] }),
};

for (const [way, connectorTo] of Object.entries(ways)) {
  for (const isProxied of [false, true]) {
    const through = isProxied ? " through a proxy" : "";
    Deno.test({
      ...needs(
        `${way}: a small write${through} does not wait for the acknowledgement of the one before, unless noDelay is false`,
        {
          notOn: ["windows", "darwin"],
        },
      ),
      async fn() {
        await using server = way === "tls()"
          ? listenTls(everySecond)
          : EchoServer.listen(everySecond);
        await using proxy = TestProxy.socks();
        const route = {
          port: server.port,
          ...isProxied && { proxy: `socks5://127.0.0.1:${proxy.port}` },
        };
        const poolOf = (route: Route) =>
          new Pool(connectorTo(route) as unknown as Connector<Socket, SocketLease>);
        await using pool = poolOf(route);
        await using control = poolOf({ ...route, noDelay: false });
        using quick = await pool.acquire();
        using slow = await control.acquire();
        const times: [quick: number, slow: number][] = [];
        for (let n = 0; n < 9; n++) times.push([await inTwoWrites(quick), await inTwoWrites(slow)]);
        const fastest = Math.min(...times.map(([quick]) => quick));
        const median = times.map(([, slow]) => slow).sort((a, b) => a - b)[4]!;
        assert(fastest < median / 2, `${fastest} ms, and ${median} ms without noDelay`);
      },
    });
  }
}
