/** Runs a deno command. Resolves to its exit code. With `onOutput`, standard output goes there. */
export async function deno(
  args: string[],
  onOutput?: (chunk: Uint8Array) => void,
): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    stdout: onOutput ? "piped" : "inherit",
  }).spawn();
  if (onOutput) { for await (const chunk of child.stdout) onOutput(chunk); }
  return (await child.status).code;
}
