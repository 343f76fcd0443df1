import { parseFlags } from "./flags.ts";
import { print, run } from "./run.ts";

/** Commands of a page, and their output as the page has it. */
export interface Example {
  readonly commands: readonly string[];
  readonly output: string;
}

const EXAMPLE = /^```sh\n([^`]*)^```\n\n```text\n([^`]*)^```$/gm;

/** The commands of a page that draw a plot. */
export function plotsOf(page: string): string[] {
  return joined(page).match(/^deno task simulate .*--svg .*$/gm) ?? [];
}

/** Without line breaks within commands. */
function joined(code: string): string {
  return code.replaceAll(/\\\n\s*/g, "");
}

/** The shell blocks of a page that are followed by their output. */
export function examplesOf(page: string): Example[] {
  return [...page.matchAll(EXAMPLE)].map(([, code, output]) => ({
    commands: joined(code!).trimEnd().split("\n"),
    output: output!,
  }));
}

/** The page with the outputs of its commands, which are given in order. */
export function withOutputs(page: string, outputs: readonly string[]): string {
  let index = 0;
  return page.replaceAll(
    EXAMPLE,
    (_, code) => `\`\`\`sh\n${code}\`\`\`\n\n\`\`\`text\n${outputs[index++]}\`\`\``,
  );
}

/** The output of the commands, without plots. */
export async function outputOf({ commands }: Example): Promise<string> {
  const outputs: string[] = [];
  for (const command of commands) {
    const request = parseFlags(argsOf(command), (path) => Deno.readTextFileSync(path));
    outputs.push(print(request, await run(request)) + "\n");
  }
  return outputs.join("\n");
}

/** The flags of a command. */
export function argsOf(command: string): string[] {
  const [deno, task, simulate, ...args] = command.split(/\s+/);
  if (`${deno} ${task} ${simulate}` === "deno task simulate") return args;
  throw new Error(`Only deno task simulate has an output here: received ${command}`);
}
