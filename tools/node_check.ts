/**
 * Runs the runtime-independent part unchanged under Node and Bun, which only strip types:
 * only erasable TypeScript passes.
 *
 * @module
 */

const RUNTIMES = [["node@22"], ["node@24"], ["bun@1.3"]];

const MODULES = ["pool/mod.ts", "tasks/mod.ts", "telemetry/mod.ts"].filter((path) => {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
});

let failed = 0;
for (const [runtime] of RUNTIMES) {
  const command = new Deno.Command("npx", {
    args: ["-y", runtime!, "tools/node_smoke.mjs", ...MODULES],
    env: { NODE_NO_WARNINGS: "1" },
  });
  const { success } = await command.spawn().status;
  if (!success) failed++;
}
Deno.exit(failed);
