/**
 * Runs real pools in virtual time, to see how long callers wait, and how many are served
 * and refused, with given arrivals and options.
 *
 *     deno task simulate --rate 900 --use exp:20ms --set maxSize=20 --set maxSize=20,overload.target=50
 *     deno task simulate --rate 400 --use exp:20ms --against maxSize=9..20/1 --svg knee.svg
 *
 * The callers:
 * - `--rate N`: the mean number of callers per second, by a Poisson process; default 100
 * - `--bursts N/EVERY`: N callers at once, repeatedly: `--bursts 50/2s`
 * - `--trace FILE`: a caller per line: its arrival in ms, optionally a comma and how long it uses the resource
 * - `--duration TIME`: the time of the last arrival; default 60s, or the end of the trace
 * - `--warm-up TIME`: earlier callers are not counted
 * - `--patience TIMES`: how long a caller waits, instead of `acquireTimeout`
 * - `--urgent SHARE`: the share of callers with `priority: 1`
 * - `--keys N`: a KeyedPool with N keys, chosen evenly
 *
 * The server: TIMES is `20ms` (constant), `exp:20ms` (exponential, by its mean)
 * or `lognormal:20ms,1` (by its mean, and the standard deviation of its logarithm)
 * - `--use TIMES`: how long a resource is used: `exp:20ms`
 * - `--cores N`: how many uses at once run at full speed; more share the server and take longer. Default: any number
 * - `--dial TIMES`: how long a dial takes: `5ms`
 * - `--failing SHARE`: the share of dials that fail
 * - `--down FROM-TO`: the server is down: `--down 20s-25s`; may be repeated
 * - `--pause FROM-TO`, `--recycle AT/OVER`: `pause()` and `resume()`, `recycle({ over })`; may be repeated
 *
 * The comparison:
 * - `--set NAME=VALUE,…`: options of the pool; may be repeated
 * - `--against NAME=FROM..TO/STEP` or `NAME=VALUE,…`: varies an option of the pool, or `rate`
 *
 * The output is a table of waits, of wait and use together (`total`), and of the outcomes of the callers; with
 * `--json` it is all figures. `--svg FILE` draws waits and goodput over the values of `--against`. `--seed N` sets
 * the random seed; the same seed gives the same figures. `--help` shows this text.
 *
 * @module
 */

import { FlagError, parseFlags, type Request, varied } from "./simulate/flags.ts";
import { Progress } from "./simulate/progress.ts";
import { EndlessError, simulate } from "./simulate/simulation.ts";
import { type Result, table } from "./simulate/table.ts";

/** Imported on demand, since it fetches packages. */
const PLOT = new URL("./simulate/plot.ts", import.meta.url).href;

type PlotModule = { plot(results: readonly Result[], varied: string): string };

async function run({ scenario, sets, against }: Request): Promise<Result[]> {
  const runs = sets.flatMap(({ name: set, options }) =>
    against === undefined ? [{ set, scenario, options }] : against.values.map((value) => {
      const [changed, merged] = varied(against, value, scenario, options);
      return { set, value, scenario: changed, options: merged };
    })
  );
  const progress = new Progress(runs.length);
  const results: Result[] = [];
  for (const [index, { scenario, options, ...labels }] of runs.entries()) {
    const outcome = await simulate(scenario, options, (done) => progress.show(index, done));
    results.push({ ...labels, outcome });
  }
  progress.end();
  return results;
}

/** The text at the top of this file. */
async function help(): Promise<string> {
  const text = await (await fetch(import.meta.url)).text();
  return text.slice(4, text.indexOf(" *\n * @module")).replaceAll(/^ \* ?/gm, "");
}

async function main(args: string[]): Promise<void> {
  if (args.includes("--help")) return console.log((await help()).trimEnd());
  const request = parseFlags(args, (path) => Deno.readTextFileSync(path));
  const results = await run(request);
  const { against, svg, json } = request;
  console.log(json ? JSON.stringify(results, undefined, 2) : table(results, against?.name));
  if (svg === undefined) return;
  const { plot } = await import(PLOT) as PlotModule;
  await Deno.writeTextFile(svg, plot(results, against!.name));
}

try {
  await main(Deno.args);
} catch (error) {
  if (!(error instanceof FlagError || error instanceof EndlessError)) throw error;
  console.error(error.message);
  Deno.exit(2);
}
