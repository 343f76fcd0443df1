/**
 * Removes the links from `deno.json`, so that `@std/…` comes from JSR:
 *
 *     deno run -A tools/unlink_std.ts && deno task test
 *
 * `git checkout deno.json` restores them.
 *
 * @module
 */

const file = new URL("../deno.json", import.meta.url);
const { links, ...config } = JSON.parse(await Deno.readTextFile(file));
if (links === undefined) throw new Error("deno.json has no links");
await Deno.writeTextFile(file, JSON.stringify(config, null, 2) + "\n");
