/**
 * Runs real pools in virtual time, to see how long callers wait, and how many are served
 * and refused, with given arrivals and options.
 *
 *     deno task simulate --rate 900 --use exp:20ms --set maxSize=20 --set maxSize=20,overload.target=50
 *     deno task simulate --rate 400 --use exp:20ms --against maxSize=9..20/1 --svg knee.svg
 *
 * TIME is `250ms`, `10s`, `2m` or `1h`; a number without a unit is in milliseconds. TIMES is
 * - `20ms`: always the same
 * - `exp:20ms`: exponential, by its mean
 * - `lognormal:20ms,p99=150ms`: lognormal, by its mean and its 99 % quantile
 * - `lognormal:20ms,1`: lognormal, by its mean and the standard deviation of its logarithm
 *
 * Flags marked with * may be repeated. The callers come in one of three ways, independently of each other:
 * - `--rate N`: the mean number of callers per second, by a Poisson process: `--rate 300`; default 100
 * - `--surge FACTOR,TIME/TIME`: multiplies the rate, for how long and how often: `--surge 3,20s/1m`,
 *   first after a minute; default: none
 * - `--bursts N/TIME` or `N@TIME` *: N callers at once, repeatedly or once, with or without `--rate`:
 *   `--bursts 50/2s`, `--bursts 5000@0s`; default: none
 *
 * as they were recorded:
 * - `--trace FILE`: a caller per line: when it came, in ms, and optionally after a comma how long it used the
 *   resource, in ms; in any order; a comment begins with `#`. The first caller comes at 0: `--trace calls.csv`
 *
 * or a fixed number of them, each of which comes again after its use:
 * - `--clients N`: how many there are: `--clients 30`
 * - `--think TIMES`: their pause before each call, at least 1 ms after one that took no time:
 *   `--think exp:5s`; default 0ms
 *
 * What they do:
 * - `--again N,TIMES`: a caller that was refused or failed tries again up to N times, after a delay of at
 *   least 1 ms: `--again 3,exp:500ms`; default 0, and 1s if no delay is given
 * - `--patience TIMES`: how long a caller waits for a resource, instead of `acquireTimeout`: `--patience 500ms`
 * - `--urgent SHARE`: the share of callers with `priority: 1`: `--urgent 0.2`; default 0
 * - `--keys N,SKEW`: a KeyedPool with N keys. Key k is chosen in proportion to 1 / k^SKEW: `--keys 20,1`;
 *   default SKEW: 0, evenly. Without the flag: a Pool
 * - `--duration TIME`: until when callers come: `--duration 10m`; default 60s, or the end of the trace
 * - `--warm-up TIME`: earlier callers are not counted: `--warm-up 5s`; default 0ms
 *
 * The server. VALUE@TIME-TIME holds within this time only: `--failing 0.5@20s-25s`
 * - `--use TIMES`: how long a resource is used: `--use lognormal:12ms,p99=80ms`; default exp:20ms
 * - `--cores N`: how many uses at once run at full speed; more share the server and take longer:
 *   `--cores 8`; default: any number
 * - `--breaking SHARE` *: the share of uses that fail, after which the resource is closed:
 *   `--breaking 0.01`; default 0
 * - `--dial TIMES`: how long a dial takes: `--dial exp:30ms`; default 5ms
 * - `--failing SHARE` *: the share of dials that fail: `--failing 0.1`; default 0
 * - `--check TIMES`: how long a check takes, of a resource that was idle for `checkAfter`: `--check 1ms`;
 *   default: no checks
 * - `--slow FACTOR` *: how many times longer dials, checks and uses take that begin then: `--slow 5@20s-25s`;
 *   default 1
 * - `--down TIME-TIME` *: the server is down: connections are lost, and dials fail: `--down 20s-25s`
 * - `--pause TIME-TIME` *: `pause()` and `resume()`: `--pause 20s-25s`
 * - `--recycle TIME/TIME` *: `recycle({ over })`, when and over which time: `--recycle 20s/10s`
 *
 * The comparison:
 * - `--set NAME=VALUE,…` *: an option set: options of the pool, all but `hooks` and `clock`:
 *   `--set maxSize=20,order=fifo,retry.attempts=5,overload.target=50`; default: those of a pool
 * - `--against NAME=FROM..TO/STEP` or `NAME=VALUE,…`: varies a number: `rate`, `clients`, or an option of the
 *   pool: `--against maxSize=5..50/5`
 * - `--seed N`: the random seed. The same seed gives the same figures, and the same callers for all option
 *   sets: `--seed 7`; default 1
 *
 * The output is a table with a line for each option set and varied value: the waits of those served; `total p99`,
 * from a caller's arrival to the end of its use; goodput, successful uses per second until the duration is over;
 * the mean number of resources in use; how many callers were refused or failed, by the reason; the longest queue;
 * dials; and when the last caller was done. Columns without an event are left out.
 * - `--json` and `--csv` give all figures instead, times in ms
 * - `--svg FILE` draws waits and goodput over the values of `--against`: `--svg knee.svg`
 * - `--help` or `-h` shows this text
 *
 * @module
 */

import { FlagError } from "./simulate/flag_values.ts";
import { parseFlags } from "./simulate/flags.ts";
import { print, run } from "./simulate/run.ts";
import { EndlessError } from "./simulate/simulation.ts";
import type { Result } from "./simulate/table.ts";

/** Imported on demand, since it fetches packages. */
const PLOT = new URL("./simulate/plot.ts", import.meta.url).href;

type PlotModule = { plot(results: readonly Result[], varied: string): string };

/** The text at the top of this file. */
async function help(): Promise<string> {
  const text = await (await fetch(import.meta.url)).text();
  return text.slice(4, text.indexOf(" *\n * @module")).replaceAll(/^ \* ?/gm, "");
}

async function main(args: string[]): Promise<void> {
  if (args.includes("--help") || args.includes("-h")) return console.log((await help()).trimEnd());
  const request = parseFlags(args, (path) => Deno.readTextFileSync(path));
  const { against, svg } = request;
  if (svg !== undefined) await checkFile(svg);
  const results = await run(request);
  console.log(print(request, results));
  if (svg === undefined) return;
  const { plot } = await import(PLOT) as PlotModule;
  await Deno.writeTextFile(svg, plot(results, against!.name));
}

/** A long simulation must not end with a plot that can't be written. */
async function checkFile(path: string): Promise<void> {
  try {
    await Deno.writeTextFile(path, "", { append: true });
  } catch (error) {
    throw new FlagError(`--svg: ${error instanceof Error ? error.message : error}`);
  }
}

try {
  await main(Deno.args);
} catch (error) {
  if (!(error instanceof FlagError || error instanceof EndlessError)) throw error;
  console.error(error.message);
  Deno.exit(2);
}
