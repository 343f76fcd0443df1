import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createServer, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { needs, PROCESS } from "../support/needs.ts";
import { TestProxy } from "../support/proxies.ts";
import { certs } from "../support/tls_server.ts";

const examples = new URL("../../examples/", import.meta.url);

/** What each example prints at its end, as its header says. */
const endings: Record<string, string> = {
  "cluster.ts": "3 were used at once at most, 0 are in use now",
  "driver_mysql2.ts": "connections: Pool(leased 0",
  "driver_pg.ts": "connections: Pool(leased 0",
  "driver_redis.ts": "connections: Pool(leased 0",
  "echo.ts": "A-Y a client   + a login   . idle   blank: not open",
  "http_keyed.ts": "34 requests to 3 origins over at most 9 connections",
  "https_server.ts": "8 requests over 4 connections",
  "many_hosts.ts": "connections for 200 requests, at most 8 at once",
  "postgres.ts": "unix: 4 connections before that: Pool(leased 0",
  "socket_pool.ts": "9 measurements over 3 sockets took",
  "starttls.ts": "InvalidData: beforeTls() left 13 bytes unread",
  "proxy.ts": "the proxies were asked for echo.internal:7, echo.internal:7, echo.internal:7",
  "tls_echo.ts": "3 handshakes for 12 clients",
  "websocket.ts": "3 WebSockets for 5 quotes, 2 of them lost while idle",
  "http_server.ts": "12 requests over",
  "overload.ts": "closed: Pool(leased 0, idle 0, waiting 0, max 5)",
  "redis.ts": "4 connections: Pool(leased 0, idle 4",
  "shutdown.ts": "closed: Pool(leased 0, idle 0, waiting 0, max 2)",
  "monitor.ts": "metrics of 3 pools",
  "udp_echo.ts": "datagrams over 1 socket",
  "worker_pool.ts": "1 of them retired: Pool(leased 0",
  "task_pool.ts": "at the end: TaskPool(running 0, queued 0, size 12)",
  "progress.ts": "at the end: TaskPool(running 0, queued 0, size 8)",
};

/** The servers that an example starts for itself. */
const programs: Record<string, string[]> = {
  "driver_mysql2.ts": ["mariadbd", "mariadb-install-db"],
  "driver_pg.ts": ["postgres", "initdb"],
  "driver_redis.ts": ["redis-server"],
  "postgres.ts": ["postgres", "initdb"],
  "redis.ts": ["redis-server"],
};

const decoder = new TextDecoder();

/** The permissions in the first line of an example. */
async function flagsOf(name: string): Promise<string[]> {
  const [shebang] = (await Deno.readTextFile(new URL(name, examples))).split("\n", 1);
  return shebang!.match(/--allow-\S+/g) ?? [];
}

/** Starts an example with the permissions of its first line, and nothing else: nothing unstable. */
async function start(name: string, ...args: string[]): Promise<Deno.ChildProcess> {
  return spawn([...await flagsOf(name), href(name), ...args]);
}

function href(name: string): string {
  return new URL(name, examples).href;
}

function spawn(args: string[], env: Record<string, string> = {}): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--quiet", ...args],
    env: { NO_COLOR: "1", ...env },
    signal: AbortSignal.timeout(30_000), // ten seconds, on a machine that does nothing else
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs an example to its end. */
async function run(name: string, ...args: string[]) {
  return await finish(await start(name, ...args));
}

async function finish(child: Deno.ChildProcess) {
  const { code, stdout, stderr } = await child.output();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** A directory for `PATH` with only these programs, which do nothing. */
class TemporaryPath implements AsyncDisposable {
  readonly env: Record<string, string>;

  private constructor(readonly directory: string) {
    this.env = { PATH: directory };
  }

  static async create(...programs: string[]): Promise<TemporaryPath> {
    const directory = await Deno.makeTempDir();
    for (const program of programs) {
      await Deno.writeTextFile(`${directory}/${program}`, "#!/bin/sh\n", { mode: 0o755 });
    }
    return new TemporaryPath(directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

Deno.test({
  ...needs(
    "examples: this test knows every example, and every example that it knows exists",
    PROCESS,
  ),
  fn() {
    const files = [...Deno.readDirSync(examples)].map(({ name }) => name);
    const runnable = files.filter((name) => /^[^_].*\.ts$/.test(name)); // `_http.ts` is a part
    assertEquals(runnable.sort(), Object.keys(endings).sort());
  },
});

Deno.test({
  ...needs("examples: README.md lists each", PROCESS),
  async fn() {
    const readme = await Deno.readTextFile(new URL("README.md", examples));
    for (const name of Object.keys(endings)) assertStringIncludes(readme, `[${name}](${name})`);
  },
});

Deno.test({
  ...needs("examples: each can be started by its name", { ...PROCESS, notOn: ["windows"] }),
  fn() {
    const names = Object.keys(endings);
    const modeOf = (name: string) => Deno.statSync(new URL(name, examples)).mode!;
    assertEquals(names.filter((name) => (modeOf(name) & 0o111) === 0), []);
  },
});

for (const [name, ending] of Object.entries(endings)) {
  Deno.test({
    ...needs(
      `examples: ${name} runs by itself, prints its last line, and ends in time`,
      { ...PROCESS, programs: programs[name] ?? [] },
    ),
    async fn() {
      const { code, stdout, stderr } = await run(name);
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      assertStringIncludes(stdout.trimEnd().split("\n").at(-1)!, ending);
    },
  });
}

for (const name of Object.keys(endings).filter((name) => name !== "worker_pool.ts")) { // it needs none
  Deno.test({
    ...needs(`examples: ${name} prints in one line what it needs if it may not ask`, PROCESS),
    async fn() {
      const { code, stdout, stderr } = await finish(spawn([href(name)]));
      const command = ["deno run", ...await flagsOf(name), `examples/${name}`].join(" ");
      assertEquals([code, stdout], [1, ""]);
      assertEquals(stderr, `${name} needs permission: ${command}\n`);
    },
  });
}

Deno.test({
  ...needs(
    "examples: socket_pool.ts gets nine answers of a slow instrument, three at a time",
    PROCESS,
  ),
  async fn() {
    const { stdout } = await run("socket_pool.ts");
    assertEquals(stdout.match(/ms {2}channel \d: /g)?.length, 9);
    assertStringIncludes(stdout, "worked on at most 3 at once");
  },
});

Deno.test({
  ...needs("examples: http_server.ts gets right responses, and keeps its connections", PROCESS),
  async fn() {
    const { stdout } = await run("http_server.ts");
    for (
      const line of [
        "GET /: 200 <h1>Home</h1>",
        "GET /stream: 200 comes in chunks",
        "GET /empty: 204",
        "GET /missing: 404 No /missing here",
      ]
    ) {
      assertEquals(stdout.split("\n").filter((it) => it === line).length, 2, stdout);
    }
    assertMatch(stdout, /12 requests over [1-3] connections/);
  },
});

Deno.test({
  ...needs("examples: redis.ts prints what is missing without a redis-server", PROCESS),
  async fn() {
    await using path = await TemporaryPath.create();
    const child = spawn([...await flagsOf("redis.ts"), href("redis.ts")], path.env);
    const { code, stdout } = await finish(child);
    assertEquals([code, stdout], [
      0,
      "no redis-server here: install one, or name one by its URL\n",
    ]);
  },
});

Deno.test({
  ...needs("examples: driver_redis.ts prints what is missing without a redis-server", {
    ...PROCESS,
    notOn: ["windows"],
  }),
  async fn() {
    await using path = await TemporaryPath.create();
    const name = "driver_redis.ts";
    const { code, stdout } = await finish(spawn([...await flagsOf(name), href(name)], path.env));
    const message = "no redis-server here: install one, or name a server by its URL\n";
    assertEquals([code, stdout], [0, message]);
  },
});

Deno.test({
  ...needs("examples: redis.ts prints what is missing if it may not start a server", {
    ...PROCESS,
    notOn: ["windows"],
  }),
  async fn() {
    await using path = await TemporaryPath.create("redis-server");
    const child = spawn(["--allow-net=127.0.0.1", href("redis.ts")], path.env);
    const { code, stderr } = await finish(child);
    assertEquals(code, 1);
    assertMatch(stderr, /^redis.ts needs permission: deno run .*--allow-run=redis-server .*\n$/);
  },
});

Deno.test({
  ...needs("examples: redis.ts prints the permission that a given server needs", PROCESS),
  async fn() {
    const command = (flags: string) => `deno run ${flags} examples/redis.ts`;
    for (
      const [url, flags] of [
        ["redis://:secret@10.0.0.5", "--allow-net=10.0.0.5:6379"],
        ["rediss://cache.example:6380/1", "--allow-net=cache.example:6380"],
        ["unix:///run/r", "--allow-net=unix:/run/r --allow-read=/run/r --allow-write=/run/r"],
      ]
    ) {
      const { code, stderr } = await finish(spawn([href("redis.ts"), url!]));
      assertEquals([code, stderr], [1, `redis.ts needs permission: ${command(flags!)}\n`]);
    }
  },
});

Deno.test({
  ...needs("examples: postgres.ts keeps its connections through errors and cancelled queries", {
    ...PROCESS,
    programs: programs["postgres.ts"]!,
  }),
  async fn() {
    const { stdout } = await run("postgres.ts");
    for (const way of ["tcp", "tls", "unix"]) {
      for (
        const line of [
          "each caller had its own reply: true",
          "an error: division by zero (22012)",
          "a query is cancelled: TimeoutError, and the connection is kept",
          "sessions that the server has ended: 3; served all the same",
        ]
      ) assertStringIncludes(stdout, `${way}: ${line}\n`);
      assertStringIncludes(stdout, `${way}: 4 connections before that`);
    }
  },
});

for (const scheme of ["socks5", "http"] as const) {
  Deno.test({
    ...needs(
      `examples: proxy.ts gets a URL through a named proxy (${scheme}), and hides the password`,
      PROCESS,
    ),
    async fn() {
      const login = "jo:hunter2";
      await using proxy = scheme === "socks5" ? TestProxy.socks(login) : TestProxy.http(login);
      await using server = Deno.serve(
        { hostname: "127.0.0.1", port: 0, onListen() {} },
        () => new Response("hi"),
      );
      const url = `http://only-the-proxy-knows.test:${server.addr.port}/`;
      const get = (user: string) => {
        const through = `${scheme}://${user}@127.0.0.1:${proxy.port}`;
        return finish(spawn(["--allow-net", href("proxy.ts"), through, url]));
      };
      assertEquals(await get(login), {
        code: 0,
        stdout: "through the proxy: 200 OK\n",
        stderr: "",
      });
      const { code, stderr } = await get("jo:wrong-hunter3");
      assertEquals(code, 1);
      assertStringIncludes(stderr, "PermissionDenied: The proxy refused the login");
      assert(!stderr.includes("hunter3"), stderr);
    },
  });
}

Deno.test({
  ...needs(
    "examples: http_keyed.ts gets the URLs that are named, over at most two connections each",
    PROCESS,
  ),
  async fn() {
    const serve = (status: number) =>
      Deno.serve(
        { hostname: "127.0.0.1", port: 0, onListen() {} },
        () => new Response("hi", { status }),
      );
    await using good = serve(200);
    await using bad = serve(503);
    const urls = [good, bad].map(({ addr }) => `http://127.0.0.1:${addr.port}/`);
    const { code, stdout } = await run("http_keyed.ts", ...urls);
    assertEquals(code, 0);
    assertStringIncludes(stdout, `${urls[0]}: ${Array(10).fill(200).join(" ")}\n`);
    assertStringIncludes(stdout, `${urls[1]}: ${Array(10).fill(503).join(" ")}\n`);
    assertMatch(stdout, /^20 requests over [2-4] connections$/m);
  },
});

/** A mail server on loopback that answers every command, and begins TLS where it is told. */
async function listenSmtp(commands: string[]) {
  const sockets: Socket[] = [];
  const server = createServer((plain) => {
    sockets.push(plain);
    const answer = (socket: Socket, bytes: string | Uint8Array) => {
      const isSecure = socket !== plain;
      const command = String(bytes).trimEnd();
      commands.push(`${isSecure ? "encrypted" : "plain"} ${command.split(" ")[0]}`);
      if (command === "STARTTLS") {
        socket.write("220 go ahead\r\n");
        socket.removeAllListeners("data").pause(); // else the handshake may be read as plain text
        const { server: cert, serverKey: key } = certs;
        const secure = new TLSSocket(socket, { isServer: true, cert, key });
        secure.on("error", () => {});
        secure.on("data", (bytes) => answer(secure, bytes));
      } else socket.write("250-first line\r\n250-250 is no end\r\n250 last line\r\n");
    };
    plain.on("error", () => {});
    plain.write("220-wait\r\n220 ready\r\n");
    plain.on("data", (bytes) => answer(plain, bytes));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const { port } = server.address() as { port: number };
  const close = () => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  };
  return { port, [Symbol.asyncDispose]: async () => void await close() };
}

Deno.test({
  ...needs("examples: starttls.ts talks to the mail server that is named", PROCESS),
  async fn() {
    const commands: string[] = [];
    await using server = await listenSmtp(commands);
    const { code, stdout, stderr } = await run("starttls.ts", `smtp://127.0.0.1:${server.port}`);
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout.match(/^client \d, encrypted: 250 last line$/gm)?.length, 6);
    assertStringIncludes(stdout, "2 handshakes for 6 clients");
    const dial = ["plain EHLO", "plain STARTTLS", "encrypted EHLO"];
    const expected = [...dial, ...dial, ...Array(6).fill("encrypted NOOP")];
    assertEquals(commands.toSorted(), expected.toSorted());
  },
});

Deno.test({
  ...needs("examples: udp_echo.ts sends dropped requests again", PROCESS),
  async fn() {
    const { stdout } = await run("udp_echo.ts");
    assertEquals(new Set(stdout.match(/^request \d+: message \d+/gm)).size, 12);
    assertMatch(stdout, /sent [2-5] times/);
    assert(Number(stdout.match(/12 replies to (\d+) datagrams/)?.[1]) >= 15, stdout);
  },
});

Deno.test({
  ...needs(
    "examples: worker_pool.ts counts right, reports the job that throws, and replaces its worker",
    PROCESS,
  ),
  async fn() {
    const { stdout } = await run("worker_pool.ts");
    assertStringIncludes(stdout, "job 1: 9592 primes below 100000");
    assertStringIncludes(stdout, "job 10: 17170 primes below 190000");
    assertStringIncludes(stdout, "job 5: RangeError: Cannot count the primes below -1");
    assertEquals(stdout.match(/^job \d+: \d+ primes/gm)?.length, 9);
    assertMatch(stdout, /10 jobs by [34] workers, 1 of them retired/);
  },
});

Deno.test({
  ...needs(
    "examples: shutdown.ts rejects a waiting request, lets one finish, and ends one at the deadline",
    PROCESS,
  ),
  async fn() {
    const { stdout } = await run("shutdown.ts");
    const times = [...stdout.matchAll(/^ *(\d+) ms (waiting|quick|slow|closed): (?!sent)/gm)];
    assertEquals(times.map(([, , what]) => what), ["waiting", "quick", "slow", "closed"]);
    const [waiting, quick, slow] = times.map(([, time]) => Number(time));
    assert(waiting! >= 400 && waiting! < quick! && quick! >= 990, stdout);
    assert(slow! >= 1_400, stdout); // and would have taken a minute
    assertStringIncludes(stdout, "waiting: PoolClosedError");
    assertStringIncludes(stdout, "quick: answered after 1000 ms");
  },
});

Deno.test({
  ...needs("examples: shutdown.ts shuts down on SIGINT, and on a second one at once", {
    ...PROCESS,
    notOn: ["windows"],
  }),
  async fn() {
    const child = await start("shutdown.ts");
    let stdout = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      stdout += text;
      if (text.includes("slow: sent")) child.kill("SIGINT");
      if (text.includes("waiting: PoolClosedError")) child.kill("SIGINT");
    }
    await child.stderr.cancel();
    assertEquals((await child.status).code, 0);
    assertStringIncludes(stdout, "SIGINT: shutting down");
    assertMatch(stdout, /quick: (?!sent|answered)/);
    assertMatch(stdout, /slow: (?!sent|answered)/);
  },
});
