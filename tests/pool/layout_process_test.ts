import { assertEquals } from "@std/assert";
import config from "../../deno.json" with { type: "json" };
import { circlesIn, graphOf } from "../support/module_graph.ts";
import { needs, PROCESS } from "../support/needs.ts";

const ENTRIES = Object.values(config.exports).map((path) => path.replace("./", ""));

/** What each folder may import from, other than itself. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  internal: [],
  pool: ["internal"],
  tasks: ["internal", "pool"],
  connectors: ["internal", "pool"],
  telemetry: ["internal", "pool", "tasks"],
  monitor: ["internal", "pool", "tasks", "telemetry"],
  cluster: ["internal", "pool", "connectors"],
  testing: ["internal", "pool"],
};

const folderOf = (path: string) => path.includes("/") ? path.split("/")[0]! : "";

/** A path that begins with an underscore, and every file in a subfolder, is private to its folder. */
function isPrivate(path: string): boolean {
  const [folder, ...rest] = path.split("/");
  return folder !== "internal" && (rest.length > 1 || rest[0]?.startsWith("_") === true);
}

Deno.test({
  ...needs("the module graph has no cycle, types included", PROCESS),
  async fn() {
    assertEquals(circlesIn(await graphOf(ENTRIES)), []);
  },
});

Deno.test({
  ...needs(
    "the module graph: imports run downwards, never into private files of another folder",
    PROCESS,
  ),
  async fn() {
    const wrong: string[] = [];
    for (const [module, imports] of await graphOf(ENTRIES)) {
      const folder = folderOf(module);
      if (!(folder in BELOW)) continue; // mod.ts may import every folder
      for (const imported of imports) {
        const other = folderOf(imported);
        if (imported.startsWith("node:") || other === folder) continue;
        const isDown = BELOW[folder]!.includes(other);
        if (!isDown || isPrivate(imported)) wrong.push(`${module} imports ${imported}`);
      }
    }
    assertEquals(wrong, []);
  },
});

Deno.test({
  ...needs(
    "the module graph: mod.ts imports nothing outside the project but built-in modules",
    PROCESS,
  ),
  async fn() {
    const outside = [...(await graphOf(["mod.ts"])).values()].flat().filter((path) =>
      path.includes(":") && !path.startsWith("node:")
    );
    assertEquals(outside, []);
  },
});
