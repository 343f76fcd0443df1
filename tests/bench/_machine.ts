import { cpus, release, totalmem, type } from "node:os";
import config from "../../deno.json" with { type: "json" };

/** Where something was measured, and with what. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  /** In GiB. */
  readonly memory: number;
  readonly system: string;
  /** Of the runtime and the peers, by name. */
  readonly versions: Record<string, string>;
}

/** Describes this machine without naming it. */
export function machine(): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? "unknown",
    cores: all.length,
    memory: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release().match(/^\d+\.\d+/)?.[0]}, ${Deno.build.arch}`,
    versions: { deno: Deno.version.deno, v8: Deno.version.v8, ...peers() },
  };
}

/** What is benchmarked beside sockpool: whatever comes from npm, but for the tools of tests. */
function peers(): Record<string, string> {
  const versions: Record<string, string> = {};
  for (const specifier of Object.values(config.imports)) {
    const [, name, version] = specifier.match(/^npm:(.+)@([^@]+)$/) ?? [];
    if (name !== undefined && !TOOLS.has(name)) versions[name] = version!;
  }
  return versions;
}

const TOOLS = new Set(["fast-check", "@observablehq/plot", "linkedom"]);
