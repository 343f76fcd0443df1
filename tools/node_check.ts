/**
 * Strips the types of the runtime-neutral part, and nothing else, and runs it
 * under the machine's Node.
 *
 * @module
 */

const out = await Deno.makeTempDir();
const sources = ["internal", "pool", "tasks", "telemetry"].flatMap((folder) =>
  [...Deno.readDirSync(folder)].map(({ name }) => `${folder}/${name}`)
);

async function run(command: string, ...args: string[]): Promise<number> {
  return (await new Deno.Command(command, { args }).spawn().status).code;
}

function transpile(): Promise<number> {
  const args = ["transpile", "--quiet", `--outdir=${out}`, ...sources];
  return run(Deno.execPath(), ...args);
}

/** What was `x.ts` is `x.js` now, and its importers must say so. */
async function renameImports(source: string): Promise<void> {
  const file = `${out}/${source.replace(/ts$/, "js")}`;
  const code = await Deno.readTextFile(file);
  const renamed = code.replaceAll(/(from|import) "(\..+)\.ts"/g, '$1 "$2.js"');
  await Deno.writeTextFile(file, renamed);
}

async function check(): Promise<number> {
  const code = await transpile();
  if (code !== 0) return code;
  for (const source of sources) await renameImports(source);
  await Deno.writeTextFile(`${out}/package.json`, '{ "type": "module" }');
  return await run(
    "node",
    "tools/node_smoke.mjs",
    ...["pool", "tasks", "telemetry"].map((folder) => `${out}/${folder}/mod.js`),
  );
}

const code = await check();
await Deno.remove(out, { recursive: true });
Deno.exit(code);
