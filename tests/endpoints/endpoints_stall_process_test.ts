import { assertEquals } from "@std/assert";
import { type ConnectorContext, failover, type Socket, tcp } from "../../mod.ts";
import { EchoProcess } from "../support/child.ts";
import { echo, EchoServer } from "../support/echo_server.ts";
import { needs, PROCESS } from "../support/needs.ts";
import { roundTrip } from "../support/round_trip.ts";
import { Site } from "../support/site.ts";
import { contextOf } from "../support/connect_context.ts";

const mod = new URL("../../mod.ts", import.meta.url).href;
const { signal } = new AbortController();

type Socket4 = Socket<Deno.NetAddr>;

/** Blocks the event loop, as a long computation does. */
function block(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

/** A login whose reply comes while the event loop is blocked. */
async function loginDuringStall(socket: Socket4): Promise<void> {
  const answer = roundTrip(socket, "hello");
  block(400);
  assertEquals(await answer, "hello");
}

Deno.test({
  ...needs("endpoints: an endpoint that answered in time during a stall does not count as slow", {
    ...PROCESS,
  }),
  async fn() {
    await using server = await EchoProcess.start();
    await using other = Site.up();
    for (let i = 0; i < 3; i++) {
      const first = { ...tcp({ port: server.port }), init: loginDuringStall };
      const connector = failover([first, other.connector], { attemptDelay: 150 });
      const socket = await connector.connect(contextOf(signal));
      assertEquals([socket.remoteAddr.port, connector.endpoints[0]!.up], [server.port, true]);
      connector.close!(socket, "closed");
    }
    assertEquals(other.accepts, 0);
  },
});

Deno.test("endpoints: a stall while a connection is opened does not count as a slow endpoint", async () => {
  await using a = Site.up();
  await using b = Site.up();
  const connector = failover([a.connector, b.connector], { attemptDelay: 150 });
  for (let i = 0; i < 3; i++) {
    const dial = connector.connect(contextOf(signal));
    block(400);
    const socket = await dial;
    assertEquals([socket.remoteAddr.port, connector.endpoints[0]!.up], [a.port, true]);
    connector.close!(socket, "closed");
  }
  assertEquals(b.accepts, 0);
});

Deno.test("endpoints: a stall while an endpoint is probed sends no dial to another endpoint", async () => {
  await using a = new Site();
  await using b = Site.up();
  const login = async (socket: Socket4, _context: ConnectorContext) => {
    block(400);
    assertEquals(await roundTrip(socket, "hello"), "hello");
  };
  let now = 0;
  const connector = failover([{ ...a.connector, init: login }, b.connector], {
    attemptDelay: 60_000,
    clock: { now: () => now + performance.now() },
  });
  const sockets = [await connector.connect(contextOf(signal))];
  assertEquals([sockets[0]!.remoteAddr.port, connector.endpoints[0]!.up], [b.port, false]);
  a.start(echo);
  now += 1_000;
  const dials = [connector.connect(contextOf(signal)), connector.connect(contextOf(signal))];
  sockets.push(...await Promise.all(dials));
  assertEquals(sockets.map(({ remoteAddr }) => remoteAddr.port), [b.port, a.port, a.port]);
  for (const socket of sockets) connector.close!(socket, "closed");
});

Deno.test("endpoints: an endpoint that is slow without a stall is passed over", async () => {
  await using a = Site.up(() => {});
  await using b = Site.up();
  const first = { ...a.connector, init: (socket: Socket4) => hello(socket) };
  const connector = failover([first, b.connector], { attemptDelay: 50 });
  const socket = await connector.connect(contextOf(signal));
  assertEquals([socket.remoteAddr.port, connector.endpoints[0]!.up], [b.port, false]);
  connector.close!(socket, "closed");
});

async function hello(socket: Socket4): Promise<void> {
  await roundTrip(socket, "hello");
}

const decoder = new TextDecoder();

/** A program in its own process that prints one message after the other. */
class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(text: string) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-config", "--no-check", "--quiet", "--ext=ts", text],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    this.#lines = linesOf(this.#child.stdout)[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("The program has ended");
    return value;
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lines.return?.();
    try {
      this.kill("SIGKILL");
    } catch {
      // it has ended
    }
    await this.#child.status;
  }
}

async function* linesOf(bytes: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of bytes) {
    const lines = (rest + decoder.decode(chunk)).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

Deno.test({
  ...needs("endpoints: after a stop of the process no endpoint counts as slow", {
    ...PROCESS,
    notOn: ["windows"],
  }),
  async fn() {
    const stopped = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    await using server = EchoServer.listen(async (peer, bytes) => {
      await stopped.promise;
      await peer.write(bytes);
      answered.resolve();
    });
    await using other = Site.up();
    await using program = new Program(`
      import { failover, tcp } from ${JSON.stringify(mod)};
      const login = async (socket) => {
        await socket.write(new TextEncoder().encode("hello"));
        console.log("waiting");
        await socket.read(new Uint8Array(5));
      };
      const connector = failover(
        [{ ...tcp({ port: ${server.port} }), init: login }, tcp({ port: ${other.port} })],
        { attemptDelay: 1_000 },
      );
      const socket = await connector.connect({ signal: new AbortController().signal });
      console.log(socket.remoteAddr.port, connector.endpoints[0].up);
      connector.close(socket, "closed");
    `);
    assertEquals(await program.line(), "waiting");
    program.kill("SIGSTOP");
    stopped.resolve();
    await answered.promise;
    await new Promise((resolve) => setTimeout(resolve, 1_300)); // longer than attemptDelay
    program.kill("SIGCONT");
    assertEquals(await program.line(), `${server.port} true`);
    assertEquals(other.accepts, 0);
  },
});

Deno.test({
  ...needs("endpoints: a date that is set forward or back changes no delay", PROCESS),
  async fn() {
    await using program = new Program(`
      const dateNow = Date.now;
      let shift = 0;
      Date.now = () => dateNow() + shift;
      const { failover } = await import(${JSON.stringify(mod)});
      let dials = 0;
      const down = () => Promise.reject(new Error("down " + ++dials));
      const connector = failover([down, () => ({})], { minDelay: 30_000, maxDelay: 30_000 });
      const { signal } = new AbortController();
      const dialled = [];
      for (shift of [0, 3_600_000, 7_200_000, -3_600_000, 0]) {
        await connector.connect({ signal });
        dialled.push(dials);
      }
      console.log(dialled.join(" "));
    `);
    assertEquals(await program.line(), "1 1 1 1 1");
  },
});
