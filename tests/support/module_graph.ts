/** Which module imports which, types included, as paths from the root of the project. */
export type ModuleGraph = ReadonlyMap<string, readonly string[]>;

const ROOT = new URL("../../", import.meta.url).href;

/** The graph of everything below an entry module, read by `deno info`. */
export async function graphOf(entries: readonly string[]): Promise<ModuleGraph> {
  const graph = new Map<string, readonly string[]>();
  for (const entry of entries) {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", new URL(entry, ROOT).href],
    }).output();
    for (
      const { specifier, dependencies = [] } of JSON.parse(new TextDecoder().decode(stdout)).modules
    ) {
      const imports = dependencies.flatMap((
        { code, type }: Record<string, { specifier?: string }>,
      ) => [code?.specifier, type?.specifier].filter((each) => each !== undefined));
      graph.set(pathOf(specifier), imports.map(pathOf));
    }
  }
  return graph;
}

function pathOf(specifier: string): string {
  return specifier.startsWith(ROOT) ? specifier.slice(ROOT.length) : specifier;
}

/** The groups of modules that import each other in a cycle (Tarjan's algorithm, 1972). */
export function circlesIn(graph: ModuleGraph): string[][] {
  const indices = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const circles: string[][] = [];
  const visit = (module: string) => {
    const index = indices.size;
    indices.set(module, index);
    lowest.set(module, index);
    stack.push(module);
    for (const next of graph.get(module) ?? []) {
      if (!graph.has(next)) continue;
      if (!indices.has(next)) visit(next);
      if (stack.includes(next)) {
        lowest.set(module, Math.min(lowest.get(module)!, lowest.get(next)!));
      }
    }
    if (lowest.get(module) !== index) return;
    const circle = stack.splice(stack.indexOf(module));
    if (circle.length > 1) circles.push(circle.sort());
  };
  for (const module of graph.keys()) if (!indices.has(module)) visit(module);
  return circles;
}
