/**
 * What a test needs that may be missing. If it is missing, the test is ignored and its
 * name says why:
 *
 *     Deno.test({ ...needs("a pool talks to a real Redis", { programs: ["redis-server"] }), fn });
 *
 * @module
 */

type Os = typeof Deno.build.os;

/** Needs beyond the permission to use the network. */
export interface Needs {
  readonly permissions?: readonly Deno.PermissionName[];
  /** Programs to start. They imply the permissions to find and run them. */
  readonly programs?: readonly string[];
  /** Systems on which the test is meaningless. */
  readonly notOn?: readonly Os[];
  /** Anything else: its name, and whether it is there. */
  readonly also?: Readonly<Record<string, boolean>>;
}

/** To start another process of this deno with files. */
export const PROCESS: Needs = { permissions: ["run", "read", "write", "env"] };

/** To find a program on the PATH, and to run it. */
const FOR_PROGRAMS = ["run", "read", "env"] as const;

/** The name of a test, with a reason if it can't run here, and whether it is ignored. */
export function needs(name: string, needed: Needs): { name: string; ignore: boolean } {
  const reason = reasonToSkip(needed);
  if (reason === undefined) return { name, ignore: false };
  return { name: `${name} [skipped: ${reason}]`, ignore: true };
}

/** Why a test can't run here, or undefined. */
export function reasonToSkip(
  { permissions = [], programs = [], notOn = [], also = {} }: Needs,
): string | undefined {
  const os = notOn.find((os) => os === Deno.build.os);
  if (os !== undefined) return `not on ${os}`;
  const all = programs.length > 0 ? [...permissions, ...FOR_PROGRAMS] : permissions;
  const refused = all.find((name) => Deno.permissions.querySync({ name }).state !== "granted");
  if (refused !== undefined) return `no --allow-${refused}`;
  const program = programs.find((program) => find(program) === undefined);
  if (program !== undefined) return `${program} is not installed`;
  const thing = Object.keys(also).find((thing) => !also[thing]);
  return thing === undefined ? undefined : `no ${thing}`;
}

/** The path of an installed program. */
export function pathOf(program: string): string {
  const path = find(program);
  if (path === undefined) throw new Error(`${program} is not installed`);
  return path;
}

function find(program: string): string | undefined {
  const file = Deno.build.os === "windows" ? `${program}.exe` : program;
  return folders().map((folder) => `${folder}/${file}`).find(isFile);
}

/** The folders of PATH, and those of Debian's servers, which may not be in PATH. */
function folders(): string[] {
  const path = Deno.env.get("PATH") ?? "";
  if (Deno.build.os === "windows") return path.split(";");
  const postgresql = "/usr/lib/postgresql";
  const versions = isDirectory(postgresql) ? [...Deno.readDirSync(postgresql)] : [];
  return [
    ...path.split(":").filter((folder) => folder !== ""),
    ...["/usr/local/sbin", "/usr/sbin", "/sbin"],
    ...versions.map(({ name }) => `${postgresql}/${name}/bin`),
  ];
}

const isFile = (path: string) => look(path)?.isFile === true;
const isDirectory = (path: string) => look(path)?.isDirectory === true;

/** `undefined` if the file is missing or may not be read. */
function look(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}
