/**
 * Requests the permissions of an example before it begins. Used by all examples that
 * need the network except `echo.ts`, which is one file.
 */

type Descriptor =
  | { name: "net"; host?: string }
  | { name: "read" | "write"; path: string };

/** All ports of this machine: without this, Deno asks for each port. */
const LOOPBACK: Descriptor = { name: "net", host: "127.0.0.1" };

/**
 * Asks for permissions, one question each. If one is denied, or there is no terminal to
 * ask on, ends the process with a line that says how to run it.
 */
export async function need(descriptors: Descriptor[] = [LOOPBACK], more: string[] = []) {
  for (const descriptor of descriptors) {
    const { state } = await Deno.permissions.request(descriptor);
    if (state !== "granted") endWithout([...descriptors.map(flagOf), ...more]);
  }
}

/** Ends the process, and prints the flags to run it with. */
export function endWithout(flags: string[]): never {
  const file = Deno.mainModule.split("/").at(-1);
  console.error(`${file} needs permission: deno run ${flags.join(" ")} examples/${file}`);
  Deno.exit(1);
}

function flagOf(descriptor: Descriptor): string {
  const what = descriptor.name === "net" ? descriptor.host : descriptor.path;
  return what === undefined ? `--allow-${descriptor.name}` : `--allow-${descriptor.name}=${what}`;
}
