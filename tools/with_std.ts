/**
 * Runs a deno command with the std modules from JSR or, where JSR can't be
 * reached, from npm:
 *
 *     deno run -A tools/with_std.ts bench --allow-net
 *
 * That JSR answers is remembered by Deno's own cache. That it does not is
 * remembered here for an hour, or until a command fails.
 *
 * @module
 */

const HOUR = 3_600_000;
/** How long the probe may say nothing before JSR counts as out of reach. */
const PATIENCE = 800;

const names = new URL("std/names.ts", import.meta.url);
const importMap = new URL("std/import_map.json", import.meta.url);
const cache = new URL("../.cache/", import.meta.url);
const refusal = new URL("jsr-unreachable", cache);

/** Resolves to the exit code. With `onOutput`, standard output goes there. */
export async function deno(
  [command, ...args]: string[],
  onOutput?: (chunk: Uint8Array) => void,
): Promise<number> {
  const std = await reachesJsr() ? [] : [`--import-map=${importMap}`];
  const child = new Deno.Command(Deno.execPath(), {
    args: [command ?? "help", ...std, ...args],
    stdout: onOutput ? "piped" : "inherit",
  }).spawn();
  if (onOutput) { for await (const chunk of child.stdout) onOutput(chunk); }
  const { code } = await child.status;
  if (code !== 0) await forget();
  return code;
}

async function reachesJsr(): Promise<boolean> {
  if (await refusedLately()) return false;
  const reached = await loadsFromJsr();
  if (!reached) await remember();
  return reached;
}

/** Asks deno itself: it knows the registry, the proxy and the cache. */
async function loadsFromJsr(): Promise<boolean> {
  const probe = new Deno.Command(Deno.execPath(), {
    args: ["cache", names.href],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const giveUp = () => probe.kill();
  let silence = setTimeout(giveUp, PATIENCE);
  for await (const _progress of probe.stderr) {
    clearTimeout(silence);
    silence = setTimeout(giveUp, PATIENCE);
  }
  const { success } = await probe.status;
  clearTimeout(silence);
  return success;
}

async function refusedLately(): Promise<boolean> {
  const { mtime } = await Deno.stat(refusal).catch(() => ({ mtime: null }));
  return mtime !== null && Date.now() - mtime.getTime() < HOUR;
}

/** A checkout that can't be written to only costs the next run its probe. */
async function remember(): Promise<void> {
  await Deno.mkdir(cache, { recursive: true })
    .then(() => Deno.writeTextFile(refusal, ""))
    .catch(() => {});
}

async function forget(): Promise<void> {
  await Deno.remove(refusal).catch(() => {});
}

if (import.meta.main) Deno.exit(await deno(Deno.args));
