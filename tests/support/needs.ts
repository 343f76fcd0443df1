/**
 * What a test needs that may not be there. Where it is not, the test is ignored,
 * and its name says why:
 *
 *     Deno.test({ ...needs("a pool talks to a real Redis", { programs: ["redis-server"] }), fn });
 *
 * @module
 */

type Os = typeof Deno.build.os;

/** Beyond the permission to use the network. */
export interface Needs {
  readonly permissions?: readonly Deno.PermissionName[];
  /** Programs that are started. They imply the permissions to find and to run them. */
  readonly programs?: readonly string[];
  /** Systems on which the test has no meaning. */
  readonly notOn?: readonly Os[];
  /** Anything else: what it is, and whether it is there. */
  readonly also?: Readonly<Record<string, boolean>>;
}

/** What starts the deno that runs the test once more, and gives it files. */
export const PROCESS: Needs = { permissions: ["run", "read", "write", "env"] };

/** To find a program on the PATH, and to run it. */
const FOR_PROGRAMS = ["run", "read", "env"] as const;

/** The name of a test, with the reason if it can't run here, and whether it is ignored therefore. */
export function needs(name: string, needed: Needs): { name: string; ignore: boolean } {
  const reason = reasonToSkip(needed);
  if (reason === undefined) return { name, ignore: false };
  return { name: `${name} [skipped: ${reason}]`, ignore: true };
}

/** Why a test can't run here, if it can't. */
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

/** The path of a program that is installed. */
export function pathOf(program: string): string {
  const path = find(program);
  if (path === undefined) throw new Error(`${program} is not installed`);
  return path;
}

function find(program: string): string | undefined {
  const file = Deno.build.os === "windows" ? `${program}.exe` : program;
  return folders().map((folder) => `${folder}/${file}`).find(isFile);
}

/** Those of the PATH, and where Debian keeps servers, which is not on everybody's PATH. */
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

/** `undefined` for what is not there, or what may not be looked at. */
function look(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}
