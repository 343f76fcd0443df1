import { assert, assertEquals, assertStringIncludes } from "@std/assert";

const examples = new URL("../examples/", import.meta.url);
const isAllowed = Deno.permissions.querySync({ name: "run" }).state === "granted";

/** What each example prints at its end, as its header says. */
const endings: Record<string, string> = {
  "echo.ts": "Pool(leased 0, idle 10, waiting 0, max 10)",
  "many_hosts.ts": "connections for 200 requests, at most 8 at once",
  "socket_pool.ts": "9 measurements over 3 sockets took",
};

/** Runs an example with the permissions of its first line, and no others. */
async function run(name: string, ...args: string[]) {
  const file = new URL(name, examples);
  const [shebang] = (await Deno.readTextFile(file)).split("\n", 1);
  const permissions = shebang!.match(/--allow-\S+/g) ?? [];
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--quiet", ...permissions, file.href, ...args],
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(10_000),
    stdout: "piped",
    stderr: "piped",
  });
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test({
  name: "examples: each is known here, and each known one is there",
  ignore: !isAllowed,
  fn() {
    const files = [...Deno.readDirSync(examples)].map(({ name }) => name);
    assertEquals(files.filter((name) => name.endsWith(".ts")).sort(), Object.keys(endings).sort());
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
