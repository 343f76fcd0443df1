import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Needs, needs, PROCESS } from "../support/needs.ts";

const example = new URL("../../examples/echo.ts", import.meta.url).href;
const decoder = new TextDecoder();

/** util-linux's `script` gives a program a terminal; its options are known on Linux only. */
const TERMINAL: Needs = { ...PROCESS, programs: ["script"], notOn: ["darwin", "windows"] };

/** Ours, without what decides about colours, and what Deno does not pass on. */
function environment(): Record<string, string> {
  const isLeftOut = (name: string) => /^(NO_COLOR|FORCE_COLOR|(LD|DYLD)_.*)$/.test(name);
  return Object.fromEntries(
    Object.entries(Deno.env.toObject()).filter(([name]) => !isLeftOut(name)),
  );
}

/** Runs the example without a terminal. */
async function run(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--quiet", "--allow-net=127.0.0.1", example, ...args],
    clearEnv: true,
    env: environment(),
    signal: AbortSignal.timeout(10_000),
    stdin: "null",
  }).output();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Runs the example on a terminal, and answers the questions of Deno. */
async function runOnTerminal(flags: string, answer: string, env: Record<string, string> = {}) {
  const child = new Deno.Command("script", {
    args: ["-qec", `"${Deno.execPath()}" run --quiet ${flags} ${example} --clients 3`, "/dev/null"],
    clearEnv: true,
    env: { ...environment(), ...env },
    signal: AbortSignal.timeout(10_000),
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const input = child.stdin.getWriter();
  const bytes = new TextEncoder().encode(`${answer}\n`);
  let output = "";
  const questions = () => output.split("Allow?").length - 1;
  const isAnswered = () => /(Granted|Denied) .* access/.test(output);
  // Deno drops what is typed until nothing has come for 100 ms, and only then reads.
  const typing = setInterval(() => {
    if (questions() > 0 && !isAnswered()) input.write(bytes).catch(() => {});
  }, 400);
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) output += text;
  clearInterval(typing);
  const { code } = await child.status;
  await input.close().catch(() => {}); // the other end is gone
  return { code, output, questions: questions() };
}

interface Chart {
  /** What each socket did, from left to right. */
  rows: string[];
  /** When the server was there, if it was not always. */
  server: string | undefined;
}

/** Takes the charts out of what the example prints. */
function chartsIn(stdout: string): Chart[] {
  return stdout.split("  port  0").slice(1).map((text) => {
    const lines = text.split("\n\n")[0]!.split("\n").slice(1);
    const parts = lines.map((line) => line.match(/^ *(\w+) {2}(.*)$/)!.slice(1));
    return {
      rows: parts.filter(([label]) => label !== "server").map(([, row]) => row!),
      server: parts.find(([label]) => label === "server")?.[1],
    };
  });
}

function countsIn(stdout: string) {
  const numbers = (row: RegExp) => stdout.match(row)!.slice(1).map(Number);
  const [single, singleTime] = numbers(/^a connection per message +(\d+) +(\d+) ms {2}#+$/m);
  const [max, pooled, pooledTime] = numbers(/^a pool of (\d+) +(\d+) +(\d+) ms {2}#*$/m);
  const [connections, time] = numbers(/^ratio +([\d.]+) : 1 +([\d.]+) : 1$/m);
  return {
    single: single!,
    pooled: pooled!,
    max: max!,
    times: singleTime! / pooledTime!,
    ratios: { connections: connections!, time: time! },
  };
}

Deno.test({
  ...needs(
    "echo.ts compares the pool with a connection per message: connections, time, and their ratio",
    PROCESS,
  ),
  async fn() {
    const { code, stdout, stderr } = await run();
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    const { single, pooled, max, times, ratios } = countsIn(stdout);
    assertEquals({ single, pooled, max }, { single: 100, pooled: 10, max: 10 });
    assertEquals(ratios.connections, 10);
    assert(Math.abs(ratios.time - times) < 0.1, stdout); // the times are rounded
  },
});

Deno.test({
  ...needs("echo.ts takes --clients, --max and --messages", PROCESS),
  async fn() {
    const { stdout } = await run("--clients", "3", "--max", "2", "--messages", "5");
    const { single, pooled, max } = countsIn(stdout);
    assertEquals({ single, pooled, max }, { single: 15, pooled: 2, max: 2 });
    assertEquals(chartsIn(stdout).map(({ rows }) => rows.length), [2]);
    assertStringIncludes(stdout, "3 clients send 5 messages each");
  },
});

Deno.test({
  ...needs(
    "echo.ts draws which client used a socket when: two clients after each other, after its login",
    PROCESS,
  ),
  async fn() {
    const { stdout } = await run("--clients", "2", "--max", "1", "--messages", "1");
    const [chart] = chartsIn(stdout);
    assertEquals(chart!.rows.length, 1);
    assertMatch(chart!.rows[0]!, /^ *\++\.*A+\.*B+\.*$/);
    assertEquals(chart!.server, undefined);
  },
});

Deno.test({
  ...needs("echo.ts draws no client on two sockets at once", PROCESS),
  async fn() {
    const { stdout } = await run("--clients", "5", "--max", "4", "--messages", "6");
    const [chart] = chartsIn(stdout);
    assertEquals(chart!.rows.length, 4);
    for (const row of chart!.rows) assertMatch(row, /^ *\++[A-E.]*$/);
    const columns = Array.from({ length: 64 }, (_, i) => chart!.rows.map((row) => row[i] ?? " "));
    for (const column of columns) {
      const present = column.filter((cell) => /[A-E]/.test(cell));
      assertEquals(new Set(present).size, present.length, stdout);
    }
  },
});

Deno.test({
  ...needs("echo.ts draws at most 24 sockets, and prints the number of further ones", PROCESS),
  async fn() {
    const { stdout } = await run("--clients", "70", "--max", "30", "--messages", "1");
    assertEquals(stdout.match(/^ +\d{2,5} {2} *\+/gm)?.length, 24);
    assertMatch(stdout, /^ +and 6 more$/m);
    assertStringIncludes(stdout, "A-9 a client");
  },
});

Deno.test({
  ...needs(
    "echo.ts --restart restarts the server during the run, and each client gets its replies",
    PROCESS,
  ),
  async fn() {
    const { code, stdout, stderr } = await run("--restart", "--max", "8", "--clients", "20");
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    const [, { rows, server }] = chartsIn(stdout) as [Chart, Chart];
    assertMatch(server!, /^=+ +=+$/);
    const [from, to] = [server!.indexOf(" "), server!.lastIndexOf(" ")];
    for (const row of rows) assertEquals(row.slice(from, to + 1).trim(), "", stdout);
    assertEquals(rows.filter((row) => row.length <= from).length, 8); // each was lost
    assert(rows.length >= 16, stdout);
    assertMatch(
      stdout,
      new RegExp(
        `^Every reply was right, .* sent again, ${rows.length} connections in all\\.$`,
        "m",
      ),
    );
  },
});

Deno.test({
  ...needs("echo.ts prints plain ASCII without a terminal", PROCESS),
  async fn() {
    const { stdout } = await run("--clients", "3");
    assertMatch(stdout, /^[\n\x20-\x7e]+$/);
  },
});

Deno.test({
  ...needs("echo.ts colours the clients on a terminal, and not with NO_COLOR", TERMINAL),
  async fn() {
    const colored = await runOnTerminal("--allow-net", "");
    assertEquals([colored.code, colored.questions], [0, 0]);
    assertStringIncludes(colored.output, "\x1b[30;48;5;39mA\x1b[0m");
    const plain = await runOnTerminal("--allow-net", "", { NO_COLOR: "1" });
    assertEquals(plain.code, 0);
    assertMatch(plain.output, /^[\r\n\x20-\x7e]+$/);
  },
});

Deno.test({
  ...needs("echo.ts asks for one permission on a terminal, once, and goes on", TERMINAL),
  async fn() {
    const { code, output, questions } = await runOnTerminal("", "y");
    assertEquals([code, questions], [0, 1]);
    assertStringIncludes(output, "a connection per message");
  },
});

Deno.test({
  ...needs("echo.ts prints the flag that it needs when the permission is denied", TERMINAL),
  async fn() {
    const { code, output, questions } = await runOnTerminal("", "n");
    assertEquals([code, questions], [1, 1]);
    const last = output.trimEnd().split("\n").at(-1);
    assertEquals(
      last,
      "echo.ts needs permission: deno run --allow-net=127.0.0.1 examples/echo.ts",
    );
  },
});

for (
  const [args, complaint] of [
    ["--max 0", "--max must be an integer of at least 1: received 0"],
    ["--clients=-1", "--clients must be an integer of at least 1: received -1"],
    ["--clients 1.5", "--clients must be an integer of at least 1: received 1.5"],
    ["--messages many", "--messages must be an integer of at least 1: received many"],
    ["--max 1e9", "--max must be an integer of at most 10000: received 1e9"],
    ["--max", "Option '--max <value>' argument missing"],
    ["--restart=1", "Option '--restart' does not take an argument"],
    ["--sockets 3", "Unknown option '--sockets'"],
    ["3", "Unexpected argument '3'"],
  ] as const
) {
  Deno.test({
    ...needs(`echo.ts refuses ${args}, and prints why`, PROCESS),
    async fn() {
      const { code, stdout, stderr } = await run(...args.split(" "));
      assertEquals([code, stdout], [2, ""]);
      assert(stderr.startsWith(complaint), stderr);
      assert(!stderr.includes("    at "), stderr);
    },
  });
}
