/**
 * Takes the links out of `deno.json`, so that `@std/…` is what JSR has:
 *
 *     deno run -A tools/unlink_std.ts && deno task test
 *
 * `git checkout deno.json` puts them back.
 *
 * @module
 */

const file = new URL("../deno.json", import.meta.url);
const { links, ...config } = JSON.parse(await Deno.readTextFile(file));
if (links === undefined) throw new Error("deno.json has no links");
await Deno.writeTextFile(file, JSON.stringify(config, null, 2) + "\n");
