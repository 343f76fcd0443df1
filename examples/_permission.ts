/**
 * What an example may do, asked for before it begins. Used by all that need the
 * network, but for `echo.ts`, which is one file.
 */

type Descriptor =
  | { name: "net"; host?: string }
  | { name: "read" | "write"; path: string };

/** All ports of this machine: without asking for that, each port is a question. */
const LOOPBACK: Descriptor = { name: "net", host: "127.0.0.1" };

/**
 * Asks for permissions, one question each. Ends the process with a line that
 * says how to run it where one is denied, and where there is no terminal to ask on.
 */
export async function need(descriptors: Descriptor[] = [LOOPBACK], more: string[] = []) {
  for (const descriptor of descriptors) {
    const { state } = await Deno.permissions.request(descriptor);
    if (state !== "granted") endWithout([...descriptors.map(flagOf), ...more]);
  }
}

/** Ends the process, and says with which flags to run it. */
export function endWithout(flags: string[]): never {
  const file = Deno.mainModule.split("/").at(-1);
  console.error(`${file} needs permission: deno run ${flags.join(" ")} examples/${file}`);
  Deno.exit(1);
}

function flagOf(descriptor: Descriptor): string {
  const what = descriptor.name === "net" ? descriptor.host : descriptor.path;
  return what === undefined ? `--allow-${descriptor.name}` : `--allow-${descriptor.name}=${what}`;
}
