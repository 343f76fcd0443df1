import { cpuTimeOf } from "./_cpu_time.ts";
import { cpus, release, totalmem, type } from "node:os";

/** The machine and the versions of a measurement. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  /** In GiB. */
  readonly memory: number;
  readonly system: string;
  /** Whose CPU time was measured. */
  readonly cpuTimeOf: string;
  /** The versions of the runtime and the peers, by name. */
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
    cpuTimeOf,
    versions: { deno: Deno.version.deno, v8: Deno.version.v8, ...peers() },
  };
}

/** The packages that are benchmarked beside sockpool, from `_npm.ts`. */
function peers(): Record<string, string> {
  const source = Deno.readTextFileSync(new URL("_npm.ts", import.meta.url));
  const specifiers = source.matchAll(/"npm:(.+)@([^@"]+)"/g);
  return Object.fromEntries([...specifiers].map(([, name, version]) => [name!, version!]));
}
