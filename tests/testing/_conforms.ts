import type { Connector, Lease } from "../../pool/mod.ts";
import { type ConnectorSubject, testConnector } from "../../testing/mod.ts";
import type { EchoServer } from "../support/echo_server.ts";

/** A connector, the ways to act on its peer, and the server. */
export type Served<T, L extends Lease<T>> = ConnectorSubject<T, L> & AsyncDisposable;

/** Registers the scenarios of the kit as tests, each with its own server, except those that need something missing. */
export function conforms<T, L extends Lease<T>>(
  what: string,
  lacks: readonly string[],
  serve: () => Served<T, L> | Promise<Served<T, L>>,
  register: (name: string, fn: () => Promise<void>) => void = Deno.test,
): void {
  for (const { name, missing } of testConnector({ make: () => ({ connect: () => ({}) }) })) {
    if (missing !== undefined && lacks.includes(missing)) continue;
    register(`${what}: ${name}`, async () => {
      await using subject = await serve();
      const scenario = testConnector(subject).find((each) => each.name === name)!;
      if (scenario.missing !== undefined) throw new Error(`The subject lacks ${scenario.missing}`);
      await scenario.run();
    });
  }
}

/** The part of a socket lease that these tests use. */
type ConnLease = Lease<unknown> & {
  writeAll(data: string): Promise<void>;
  readUntil(delimiter: string): Promise<Uint8Array>;
};

/** A connector of sockets to echo servers. */
export function socketSubject<T, L extends Lease<T> & ConnLease>(
  connector: Connector<T, L>,
  servers: readonly EchoServer<Deno.Addr>[],
  silent?: { readonly connector: Connector<T, L>; readonly host: AsyncDisposable },
): Served<T, L> {
  const subject: Served<T, L> = {
    make: () => connector,
    open: () => servers.flatMap(({ peers }) => peers).filter((peer) => !peer.signal.aborted).length,
    async use(conn) {
      await conn.writeAll("ping\n");
      const reply = new TextDecoder().decode(await conn.readUntil("\n"));
      if (reply !== "ping\n") throw new Error(`Another's reply: ${reply}`);
    },
    break: () => servers.forEach((server) => server.hangUp()),
    async [Symbol.asyncDispose]() {
      for (const server of servers) await server[Symbol.asyncDispose]();
      await silent?.host[Symbol.asyncDispose]();
    },
  };
  return silent === undefined ? subject : { ...subject, ...stalling(connector, silent.connector) };
}

/** A connector whose dials can be directed to a port without a listener. */
export function stalling<T, L extends Lease<T>>(
  connector: Connector<T, L>,
  silent: Connector<T, L>,
): Pick<Required<ConnectorSubject<T, L>>, "make" | "stall"> {
  let isStalled = false;
  return {
    make: () => ({
      ...connector,
      connect: (context) => (isStalled ? silent : connector).connect(context),
    }),
    stall() {
      isStalled = true;
      return () => isStalled = false;
    },
  };
}
