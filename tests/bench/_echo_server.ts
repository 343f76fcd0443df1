const decoder = new TextDecoder();

/** An echo server in its own process. Disposing of it ends that. */
export class EchoServer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  /** Its port, unless it listens on a path. */
  readonly port: number;

  private constructor(child: Deno.ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  /** Starts it with the arguments of `_echo_process.ts`. */
  static async start(...args: string[]): Promise<EchoServer> {
    const script = new URL("_echo_process.ts", import.meta.url).href;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-check", "--allow-all", script, ...args],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const output = child.stdout.getReader();
    const { value } = await output.read();
    output.releaseLock();
    if (value === undefined) throw new Error("The echo server did not start");
    return new EchoServer(child, Number(decoder.decode(value)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.close();
    await this.#child.stdout.cancel();
    await this.#child.status;
  }
}
