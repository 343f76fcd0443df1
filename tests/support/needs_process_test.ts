import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { needs, pathOf, PROCESS, reasonToSkip } from "./needs.ts";

const helper = new URL("needs.ts", import.meta.url).href;

Deno.test("a fulfilled need leaves the name unchanged", () => {
  const there = { notOn: [], also: { "ground": true } };
  assertEquals(reasonToSkip({}), undefined);
  assertEquals(needs("a thing", there), { name: "a thing", ignore: false });
});

Deno.test("the name says what is missing, the system first", () => {
  const skipped = (reason: string) => ({ name: `a thing [skipped: ${reason}]`, ignore: true });
  const missing = { also: { "IPv6": false } };
  assertEquals(needs("a thing", missing), skipped("no IPv6"));
  const { os } = Deno.build;
  assertEquals(needs("a thing", { ...missing, notOn: [os] }), skipped(`not on ${os}`));
});

/** The reasons in another process with only these permissions. */
async function reasons(...permissions: string[]): Promise<string> {
  const directory = await Deno.makeTempDir();
  const script = `
    import { needs } from "${helper}";
    console.log(needs("a", { programs: ["a-server"] }).name);
    console.log(needs("b", { programs: ["no-such-server"] }).name);`;
  await Deno.writeTextFile(`${directory}/main.ts`, script);
  await Deno.writeTextFile(`${directory}/a-server`, "");
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-config", "--quiet", ...permissions, `${directory}/main.ts`],
    env: { PATH: directory },
  }).output();
  await Deno.remove(directory, { recursive: true });
  const decoder = new TextDecoder();
  return decoder.decode(stdout) + decoder.decode(stderr);
}

Deno.test({
  ...needs("a permission that is missing is named, without a question", PROCESS),
  async fn() {
    assertStringIncludes(await reasons(), "a [skipped: no --allow-run]\nb");
    assertStringIncludes(await reasons("--allow-run"), "a [skipped: no --allow-read]\nb");
    assertStringIncludes(
      await reasons("--allow-run", "--allow-read"),
      "a [skipped: no --allow-env]",
    );
  },
});

Deno.test({
  ...needs("a program is looked for on the PATH", { ...PROCESS, notOn: ["windows"] }),
  async fn() {
    assertEquals(await reasons("-A"), "a\nb [skipped: no-such-server is not installed]\n");
    assertThrows(() => pathOf("no-such-server"), Error, "no-such-server is not installed");
  },
});
