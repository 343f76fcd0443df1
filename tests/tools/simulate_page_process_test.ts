import { assertEquals } from "@std/assert";
import { examplesOf, outputOf, plotsOf, withOutputs } from "../../tools/simulate/page.ts";
import { needs, PROCESS } from "../support/needs.ts";

const page = new URL("../../docs/sizing_and_overload.md", import.meta.url);

Deno.test({
  ...needs("the commands of docs/sizing_and_overload.md print what it says", PROCESS),
  async fn() {
    const examples = examplesOf(await Deno.readTextFile(page));
    assertEquals(examples.length, 17);
    for (const example of examples) {
      assertEquals(await outputOf(example), example.output, "run `deno task simulate:page`");
    }
  },
});

Deno.test("the outputs of a page are replaced, and its text is kept", () => {
  const block = (code: string, output: string) =>
    `\`\`\`sh\n${code}\n\`\`\`\n\n\`\`\`text\n${output}\`\`\`\n`;
  const text = `# Title\n\n${block("one", "1\n")}\n\`\`\`sh\nno output\n\`\`\`\n\n${
    block("two \\\n  --flag\nthree --svg a", "")
  }`;
  assertEquals(examplesOf(text), [
    { commands: ["one"], output: "1\n" },
    { commands: ["two --flag", "three --svg a"], output: "" },
  ]);
  assertEquals(withOutputs(text, ["1\n", ""]), text);
  const [first, second] = examplesOf(withOutputs(text, ["$&\n", "2\n"]));
  assertEquals([first!.output, second!.output], ["$&\n", "2\n"]);
  assertEquals(plotsOf("deno task simulate \\\n  --svg a.svg\ndeno task simulate --json"), [
    "deno task simulate --svg a.svg",
  ]);
});
