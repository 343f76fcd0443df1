import { unusedPort } from "./echo_server.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** An echo server in its own process, on its own port. Disposing of it kills it. */
export class EchoProcess implements AsyncDisposable {
  readonly port = unusedPort();
  #state: "running" | "dead" = "dead";
  #child!: Deno.ChildProcess;
  #input!: WritableStreamDefaultWriter<Uint8Array>;
  #output!: ReadableStreamDefaultReader<Uint8Array>;

  private constructor() {}

  static async start(): Promise<EchoProcess> {
    const process = new EchoProcess();
    await process.start();
    return process;
  }

  /** Starts the server, also after a kill. Resolves when it listens. */
  async start(): Promise<void> {
    const script = new URL("./echo_process.ts", import.meta.url).href;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-config", "--no-check", "--quiet", "-A", script, `${this.port}`],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#output = this.#child.stdout.getReader();
    const { value } = await this.#output.read();
    if (decoder.decode(value).trim() !== "ready") throw new Error("The server did not start");
    this.#state = "running";
  }

  /** Makes the server do something to all its clients, then create a file. */
  async tell(command: "reset" | "end" | "stray" | "pause", file = ""): Promise<void> {
    await this.#input.write(encoder.encode(`${command} ${file}`.trim() + "\n"));
  }

  /** Kills it with SIGKILL, and waits until it is dead. */
  async kill(): Promise<void> {
    if (this.#state === "dead") return;
    this.#state = "dead";
    this.#child.kill("SIGKILL");
    await this.#child.status;
    await this.#output.cancel();
    await this.#input.close().catch(() => {}); // the pipe is broken
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
