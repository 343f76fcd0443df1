/** What errors call an address of host and port. */
export function nameOf(scheme: string, hostname: string, port: number): string {
  return `${scheme}://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

/** Whether trying again can't help: no permission, a bad certificate, bad arguments. */
export function isFinal(error: unknown): boolean {
  return error instanceof Deno.errors.PermissionDenied ||
    error instanceof Deno.errors.NotCapable ||
    error instanceof Deno.errors.InvalidData ||
    error instanceof TypeError ||
    error instanceof RangeError;
}
