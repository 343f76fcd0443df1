/**
 * Tries every sequence of events up to a depth over a Pool of two slots and three
 * callers, and over a KeyedPool of two keys, and checks the laws after each:
 *
 *     deno task explore [--depth N] [--what pool,keyed] [--seconds N]
 *
 * For each depth it reports the number of sequences and of distinct states. It ends at
 * the first broken law, at the given depth, or after the given time. The events and the laws are those of
 * `tests/support/small_world.ts`.
 *
 * @module
 */

import { walk } from "../tests/support/exhaustive.ts";

const DEPTH = 6;
const KINDS = ["pool", "keyed"] as const;

function argument(name: string): string | undefined {
  const index = Deno.args.indexOf(`--${name}`);
  return index < 0 ? undefined : Deno.args[index + 1] ?? "";
}

function count(name: string): number | undefined {
  const text = argument(name);
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text !== "" && Number.isFinite(value)) return value;
  throw new TypeError(`--${name} must be followed by a number: received ${text}`);
}

const chosen = (argument("what") ?? KINDS.join()).split(",");
const unknown = chosen.find((name) => !(KINDS as readonly string[]).includes(name));
if (unknown !== undefined) {
  throw new TypeError(`--what must name ${KINDS.join(", ")}: received ${unknown}`);
}
const depth = count("depth") ?? DEPTH;
const seconds = count("seconds") ?? Infinity;

for (const kind of KINDS.filter((each) => chosen.includes(each))) {
  const start = performance.now();
  const report = (what: string, { depth, histories, states }: Awaited<ReturnType<typeof walk>>) => {
    const elapsed = ((performance.now() - start) / 1_000).toFixed(1);
    console.log(
      `${kind}: ${what} ${depth}: ${histories} histories, ${states} states, ${elapsed} s`,
    );
  };
  const limits = { depth, until: start + seconds * 1_000 };
  const result = await walk(kind, limits, (each) => report("depth", each));
  if (result.failure !== undefined) {
    const { law, history } = result.failure;
    console.error(`${kind}: broken at depth ${result.depth}: ${law}`);
    for (const [name, index] of history) console.error(`  ${name} ${index}`);
    Deno.exit(1);
  }
  report("all laws hold, depth", result);
}
