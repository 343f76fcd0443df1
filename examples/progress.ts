#!/usr/bin/env -S deno run --allow-net=127.0.0.1
/**
 * Loads 200 files from a server on loopback, eight at a time, with a progress bar:
 * `progress` reports how many have been loaded, and how many failed. If the output is no
 * terminal, for example a log, it prints a line for each tenth instead.
 *
 *     deno run --allow-net examples/progress.ts
 */

import { type Progress, TaskPool } from "../mod.ts";
import { need } from "./_permission.ts";

await need();

const FILES = 200;

const server = Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen: () => {} },
  async (request) => {
    const file = Number(new URL(request.url).pathname.slice(1));
    await new Promise((resolve) => setTimeout(resolve, 10 + file % 7 * 10));
    return file % 50 === 13 ? new Response("gone", { status: 410 }) : new Response("content");
  },
);

async function load(file: number, signal: AbortSignal): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${server.addr.port}/${file}`, { signal });
  const { length } = await response.text();
  if (!response.ok) throw new Error(`${response.status} for file ${file}`);
  return length;
}

const encoder = new TextEncoder();

/** Shows the progress: a bar on a terminal, and lines elsewhere. */
class ProgressBar {
  readonly #isTerminal = Deno.stdout.isTerminal();
  readonly #began = performance.now();
  #lastTenth = 0;

  readonly show = ({ done, failed, total = done }: Progress): void => {
    const tenth = Math.floor(done / total * 10);
    if (!this.#isTerminal && tenth === this.#lastTenth) return;
    this.#lastTenth = tenth;
    const line = `${this.#bar(done / total)} ${done} of ${total}, ${this.#left(done, total)}` +
      (failed > 0 ? `, ${failed} failed` : "");
    if (this.#isTerminal) Deno.stdout.writeSync(encoder.encode(`\r\x1b[2K${line}`));
    else console.log(line);
  };

  /** Ends the line of the bar. */
  end(): void {
    if (this.#isTerminal) console.log();
  }

  #bar(share: number): string {
    const width = this.#isTerminal
      ? Math.max(10, Math.min(40, Deno.consoleSize().columns - 50))
      : 10;
    const full = Math.round(share * width);
    return `[${"#".repeat(full)}${"-".repeat(width - full)}]`;
  }

  #left(done: number, total: number): string {
    const elapsed = performance.now() - this.#began;
    const seconds = elapsed / done * (total - done) / 1_000;
    return done === total ? `${(elapsed / 1_000).toFixed(1)} s` : `${seconds.toFixed(1)} s left`;
  }
}

const bar = new ProgressBar();
const files = Array.from({ length: FILES }, (_, file) => file);
await using pool = new TaskPool(8);
const outcomes = await pool.mapSettled(files, (file, _index, { signal }) => load(file, signal), {
  progress: bar.show,
});
bar.end();

for (const outcome of outcomes) {
  if (outcome.status === "rejected") {
    console.log(`file ${outcome.index}: ${outcome.reason.message}`);
  }
}
await server.shutdown();
console.log(`at the end: ${pool}`);
