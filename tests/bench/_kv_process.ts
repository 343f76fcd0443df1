/**
 * Measures over Deno KV in a process of its own, as that needs `--unstable-kv`.
 * Run by itself it is that process: it reads what to measure and writes the sample.
 */

import { denoKvEngine, type KvStore } from "../../cluster/mod.ts";
import { type Effort, timed } from "./_bench.ts";
import { uncontended } from "./_uncontended.ts";

interface Order {
  readonly what: "ours" | "floor";
  readonly effort: Effort;
}

/** The process, as the benchmark has it. */
export class KvProcess {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;

  private constructor() {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-check", "--unstable-kv", "--allow-all", import.meta.url],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  static async start(): Promise<KvProcess> {
    const process = new KvProcess();
    await process.#output.read();
    return process;
  }

  async measure(what: Order["what"], effort: Effort): Promise<number> {
    const order: Order = { what, effort };
    await this.#input.write(new TextEncoder().encode(JSON.stringify(order)));
    const { value } = await this.#output.read();
    return Number(value);
  }

  async end(): Promise<void> {
    await this.#input.close();
    await this.#output.cancel();
    await this.#child.status;
  }
}

async function obey(): Promise<void> {
  const folder = await Deno.makeTempDir();
  const { openKv } = Deno as unknown as {
    openKv(path: string): Promise<KvStore & { close(): void }>;
  };
  const kv = await openKv(`${folder}/kv.db`);
  const ours = uncontended(denoKvEngine(kv));
  const floor = timed("", "floor", 1, bareRoundTrip(kv));
  const say = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(text));
  say("ready");
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const { what, effort }: Order = JSON.parse(text);
    say(`${await (what === "ours" ? ours : floor).measure(effort)}`);
  }
  await ours.close?.();
  kv.close();
  await Deno.remove(folder, { recursive: true });
}

/** What a transaction costs by itself. */
function bareRoundTrip(kv: KvStore): () => Promise<void> {
  const key = ["bare"];
  let versionstamp: string | null = null;
  let count = 0;
  return async () => {
    const result = await kv.atomic().check({ key, versionstamp }).set(key, { count: ++count })
      .commit();
    if (!result.ok) throw new Error("nobody else writes here");
    versionstamp = result.versionstamp;
  };
}

if (import.meta.main) await obey();
