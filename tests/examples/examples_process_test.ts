import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { hasRedis } from "../support/redis_server.ts";

const examples = new URL("../../examples/", import.meta.url);
const isAllowed = Deno.permissions.querySync({ name: "run" }).state === "granted";

/** What each example prints at its end, as its header says. */
const endings: Record<string, string> = {
  "echo.ts": "Pool(leased 0, idle 10, waiting 0, max 10)",
  "https_server.ts": "8 requests over 4 connections",
  "many_hosts.ts": "connections for 200 requests, at most 8 at once",
  "socket_pool.ts": "9 measurements over 3 sockets took",
  "tls_echo.ts": "3 handshakes for 12 clients",
  "websocket.ts": "3 WebSockets for 5 quotes, 2 of them lost while idle",
  "http_server.ts": "12 requests over",
  "redis.ts": hasRedis ? "4 connections: Pool(leased 0, idle 4" : "no redis-server here",
  "shutdown.ts": "closed: Pool(leased 0, idle 0, waiting 0, max 2)",
  "udp_echo.ts": "datagrams over 1 socket",
  "worker_pool.ts": "1 of them retired: Pool(leased 0",
  "task_pool.ts": "at the end: TaskPool(running 0, queued 0, size 12)",
  "progress.ts": "at the end: TaskPool(running 0, queued 0, size 8)",
};

/** Starts an example with the permissions of its first line, and nothing else: nothing unstable. */
async function start(name: string, ...args: string[]): Promise<Deno.ChildProcess> {
  const [shebang] = (await Deno.readTextFile(new URL(name, examples))).split("\n", 1);
  return startWith(shebang!.match(/--allow-\S+/g) ?? [], name, ...args);
}

function startWith(flags: string[], name: string, ...args: string[]): Deno.ChildProcess {
  const file = new URL(name, examples);
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--quiet", ...flags, file.href, ...args],
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(10_000),
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
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test({
  name: "examples: each is known here, and each known one is there",
  ignore: !isAllowed,
  fn() {
    const files = [...Deno.readDirSync(examples)].map(({ name }) => name);
    const runnable = files.filter((name) => /^[^_].*\.ts$/.test(name)); // `_http.ts` is a part
    assertEquals(runnable.sort(), Object.keys(endings).sort());
  },
});

Deno.test({
  name: "examples: README.md tells of each",
  ignore: !isAllowed,
  async fn() {
    const readme = await Deno.readTextFile(new URL("README.md", examples));
    for (const name of Object.keys(endings)) assertStringIncludes(readme, `[${name}](${name})`);
  },
});

Deno.test({
  name: "examples: each can be started by its name",
  ignore: !isAllowed || Deno.build.os === "windows",
  fn() {
    const names = Object.keys(endings);
    const modeOf = (name: string) => Deno.statSync(new URL(name, examples)).mode!;
    assertEquals(names.filter((name) => (modeOf(name) & 0o111) === 0), []);
  },
});

for (const [name, ending] of Object.entries(endings)) {
  Deno.test({
    name: `examples: ${name} runs by itself, says what its header says, and ends in time`,
    ignore: !isAllowed,
    async fn() {
      const { code, stdout, stderr } = await run(name);
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      assertStringIncludes(stdout.trimEnd().split("\n").at(-1)!, ending);
    },
  });
}

Deno.test({
  name: "examples: echo.ts takes --clients, --max and --messages",
  ignore: !isAllowed,
  async fn() {
    const { stdout } = await run("echo.ts", "--clients", "3", "--max", "2", "--messages", "5");
    assertEquals(stdout.match(/client \d: 5 echoed/g)?.length, 3);
    assertStringIncludes(stdout, "2 connections for 3 clients");
    assertStringIncludes(stdout, "Pool(leased 0, idle 2, waiting 0, max 2)");
  },
});

Deno.test({
  name: "examples: echo.ts refuses a count of 0 and says so",
  ignore: !isAllowed,
  async fn() {
    const { code, stderr } = await run("echo.ts", "--max", "0");
    assertEquals(code, 2);
    assertStringIncludes(stderr, "--max must be an integer of at least 1: received 0");
  },
});

Deno.test({
  name:
    "examples: socket_pool.ts takes three rounds of 100 ms for nine requests over three sockets",
  ignore: !isAllowed,
  async fn() {
    const { stdout } = await run("socket_pool.ts");
    const total = Number(stdout.match(/took (\d+) ms/)?.[1]);
    assert(total >= 300 && total <= 450, `took ${total} ms`);
  },
});

Deno.test({
  name: "examples: http_server.ts gets right responses, and keeps its connections",
  ignore: !isAllowed,
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
  name: "examples: redis.ts says what is missing where it may not start a server",
  ignore: !isAllowed,
  async fn() {
    const { code, stdout } = await finish(startWith(["--allow-net=127.0.0.1"], "redis.ts"));
    assertEquals(code, 0);
    assertStringIncludes(stdout, "no permission to start one: --allow-run=redis-server");
  },
});

Deno.test({
  name: "examples: udp_echo.ts sends again what the server drops",
  ignore: !isAllowed,
  async fn() {
    const { stdout } = await run("udp_echo.ts");
    assertEquals(new Set(stdout.match(/^request \d+: message \d+/gm)).size, 12);
    assertMatch(stdout, /sent [2-5] times/);
    assert(Number(stdout.match(/12 replies to (\d+) datagrams/)?.[1]) >= 15, stdout);
  },
});

Deno.test({
  name:
    "examples: worker_pool.ts counts right, tells of the job that throws, and replaces its worker",
  ignore: !isAllowed,
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
  name: "examples: shutdown.ts turns one away, lets one finish, and cuts one off at the deadline",
  ignore: !isAllowed,
  async fn() {
    const { stdout } = await run("shutdown.ts");
    const times = [...stdout.matchAll(/^ *(\d+) ms (waiting|quick|slow|closed): (?!sent)/gm)];
    assertEquals(times.map(([, , what]) => what), ["waiting", "quick", "slow", "closed"]);
    const [waiting, quick, slow] = times.map(([, time]) => Number(time));
    assert(waiting! >= 400 && waiting! < quick! && quick! >= 990, stdout);
    assert(slow! >= 1_400 && slow! < 4_000, stdout);
    assertStringIncludes(stdout, "waiting: PoolClosedError");
    assertStringIncludes(stdout, "quick: answered after 1000 ms");
  },
});

Deno.test({
  name: "examples: shutdown.ts heeds SIGINT, and a second one at once",
  ignore: !isAllowed || Deno.build.os === "windows",
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
