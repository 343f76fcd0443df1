/**
 * Writes the outputs of the commands in docs/sizing_and_overload.md anew, and draws its
 * plots into `docs/simulation/`:
 *
 *     deno task simulate:page
 *
 * @module
 */

import { parseFlags } from "./simulate/flags.ts";
import { argsOf, examplesOf, outputOf, plotsOf, withOutputs } from "./simulate/page.ts";
import { plot } from "./simulate/plot.ts";
import { run } from "./simulate/run.ts";

const page = new URL("../docs/sizing_and_overload.md", import.meta.url);
const folder = new URL("../docs/simulation/", import.meta.url);

/** Others are examples for the reader. */
const PLOTS = ["knee.svg", "overload.svg"];

const text = await Deno.readTextFile(page);
const examples = examplesOf(text);
const outputs: string[] = [];
for (const example of examples) {
  console.log(example.commands.join("\n"));
  outputs.push(await outputOf(example));
}
await Deno.writeTextFile(page, withOutputs(text, outputs));

for (const command of plotsOf(text)) {
  const request = parseFlags(argsOf(command), (path) => Deno.readTextFileSync(path));
  if (!PLOTS.includes(request.svg!)) continue;
  const drawing = plot(await run(request), request.against!.name);
  await Deno.writeTextFile(new URL(request.svg!, folder), drawing);
}
