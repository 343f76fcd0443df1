import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { needs, PROCESS } from "../support/needs.ts";

const program = new URL("../../tools/simulate.ts", import.meta.url).href;
const decoder = new TextDecoder();

async function simulate(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--quiet",
      "--no-lock",
      "--allow-read",
      "--allow-write=nowhere",
      program,
      ...args,
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test({
  ...needs("simulate compares option sets in a table, the same each time", PROCESS),
  async fn() {
    const args = "--rate 800 --duration 3s --set maxSize=10 --set maxSize=20,order=fifo".split(" ");
    const one = await simulate(...args);
    assertEquals(one.code, 0);
    assertMatch(one.stdout, /^options +arrived .*\nmaxSize=10 .*\nmaxSize=20,order=fifo .*\n$/);
    assertEquals((await simulate(...args)).stdout, one.stdout);
  },
});

Deno.test({
  ...needs("simulate prints all figures as JSON, for each varied value", PROCESS),
  async fn() {
    const { code, stdout } = await simulate("--json", "--duration=1s", "--against=rate=50,100");
    const results = JSON.parse(stdout);
    assertEquals(code, 0);
    assertEquals(results.map(({ value }: { value: number }) => value), [50, 100]);
    for (const { outcome } of results) assertEquals(outcome.served, outcome.arrived);
  },
});

Deno.test({
  ...needs("simulate prints one line about an invalid flag, and exits with 2", PROCESS),
  async fn() {
    const { code, stdout, stderr } = await simulate("--set", "maxSize=0");
    assertEquals([code, stdout], [2, ""]);
    assertStringIncludes(stderr, "'maxSize' must be");
    assertEquals(stderr.trimEnd().split("\n").length, 1);
  },
});

Deno.test({
  ...needs("simulate prints one line about a plot that it can't write, before it begins", PROCESS),
  async fn() {
    const { code, stdout, stderr } = await simulate(
      ..."--duration 1s --against rate=1 --svg nowhere/a.svg".split(" "),
    );
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, /^--svg: .*\n$/);
  },
});

Deno.test({
  ...needs("simulate --help lists every flag", PROCESS),
  async fn() {
    const { stderr } = await simulate("--unknown");
    const { code, stdout } = await simulate("--help");
    assertEquals(code, 0);
    assertEquals((await simulate("-h")).stdout, stdout);
    const flags = stderr.match(/(?<=There are: .*)--[a-z-]+/g)!;
    assert(flags.length > 15);
    for (const flag of flags) assertStringIncludes(stdout, `\`${flag}`);
  },
});
