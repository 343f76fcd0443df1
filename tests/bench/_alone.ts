/**
 * Contenders that each have a process of their own, so that no call site in it has
 * seen another. Run by itself this is that process: it reads efforts and
 * writes samples.
 *
 *     deno run -A tests/bench/_alone.ts FILE CASE CONTENDER
 *
 * @module
 */

import type { Case, Contender, Effort, Role, Sample } from "./_bench.ts";

/** Who takes part, known before it is made. */
export interface Contestant {
  readonly name: string;
  readonly role: Role;
  readonly isExtra?: boolean;
}

/** The same case, of the subject in that file, with each contender in a process of its own. */
export function alone(
  given: Case,
  contestants: readonly Contestant[],
  file: string,
  flags: readonly string[] = [],
): Case {
  return {
    ...given,
    isQuick: false,
    close() {}, // what is to be closed is in the processes
    contenders: () =>
      Promise.all(contestants.map(async (contestant): Promise<Contender> => {
        const args = [file, given.name, contestant.name];
        const process = await AloneProcess.start(flags, args);
        return {
          ...contestant,
          measure: (effort) => process.measure(effort),
          close: () => process.end(),
        };
      })),
  };
}

class AloneProcess {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;

  private constructor(flags: readonly string[], args: readonly string[]) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-check", "--allow-all", ...flags, import.meta.url, ...args],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  static async start(flags: readonly string[], args: readonly string[]): Promise<AloneProcess> {
    const process = new AloneProcess(flags, args);
    const { done } = await process.#output.read();
    if (done) throw new Error(`The process for ${args.join(", ")} did not start`);
    return process;
  }

  async measure(effort: Effort): Promise<Sample> {
    await this.#input.write(new TextEncoder().encode(JSON.stringify(effort)));
    const { value } = await this.#output.read();
    if (value === undefined) throw new Error("The process of a contender has ended");
    return JSON.parse(value);
  }

  async end(): Promise<void> {
    await this.#input.close();
    await this.#output.cancel();
    await this.#child.status;
  }
}

/** Takes a sample for each effort that comes, until no more come. */
async function obey(file: string, caseName: string, contenderName: string): Promise<void> {
  const { default: cases } = await import(file) as { default: Case[] };
  const found = cases.find(({ name }) => name === caseName)!;
  const made = await found.contenders(contenderName);
  const contender = made.find(({ name }) => name === contenderName)!;
  const say = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(text));
  say("ready");
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const effort: Effort = JSON.parse(text);
    say(JSON.stringify(await contender.measure(effort)));
  }
  for (const each of made) await each.close?.();
  await found.close?.();
  Deno.exit();
}

// Not awaited: the subject imports this module.
if (import.meta.main) obey(...Deno.args as [string, string, string]);
