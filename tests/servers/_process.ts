/**
 * Real servers for tests. Each runs in its own process, in a temporary folder, on free ports of the
 * loopback interface.
 */

import { type Needs, needs, pathOf } from "../support/needs.ts";

export { pathOf };

/** The limit for anything that must happen: long, for a busy machine. */
const PATIENCE = 30_000;

const delay = (time: number) => new Promise<void>((resolve) => setTimeout(resolve, time));

/** Polls a condition. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string) = `${condition}`,
): Promise<void> {
  const start = performance.now();
  while (!await condition()) {
    if (performance.now() - start > PATIENCE) {
      const text = typeof what === "string" ? what : what();
      throw new Error(`Not within ${PATIENCE} ms: ${text}`);
    }
    await delay(2);
  }
}

/** The needs of tests with servers: the folder /proc, and these programs. */
export function serverNeeds(programs: readonly string[]): Needs {
  return {
    permissions: ["run", "read", "write", "env", "net"],
    programs,
    also: { "/proc": Deno.build.os === "linux" },
  };
}

/** A test that needs servers. If they are missing it is ignored, and its name says why. */
export function serverTest(
  programs: readonly string[],
  name: string,
  fn: (t: Deno.TestContext) => Promise<void>,
): void {
  Deno.test({ ...needs(name, serverNeeds(programs)), fn });
}

/** Runs a program to its end; throws its output if it fails. */
export async function run(command: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command[0]!, {
    args: command.slice(1),
  }).output();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  throw new Error(`${command[0]} failed: ${decoder.decode(stdout)}${decoder.decode(stderr)}`);
}

/** Whether this process runs as root. */
export function isRoot(): boolean {
  return new TextDecoder().decode(new Deno.Command("id", { args: ["-u"] }).outputSync().stdout) ===
    "0\n";
}

/** The same command as another user, if this process is root. */
export function asUser(user: string, command: readonly string[]): string[] {
  if (!isRoot()) return [...command];
  const setpriv = [pathOf("setpriv"), `--reuid=${user}`, `--regid=${user}`, "--clear-groups"];
  return [...setpriv, "--", ...command];
}

/** Gives a folder and its contents to a user, if this process is root. */
export async function giveTo(user: string, path: string): Promise<void> {
  if (isRoot()) await run([pathOf("chown"), "-R", `${user}:`, path]);
}

// Below the ports that the system gives to clients: a client could hold the port of a server that is
// down, and a dial to such a port can even connect to itself.
const LOWEST_PORT = 10_000;
const HIGHEST_PORT = 32_000;

/** A TCP port of the loopback interface without a listener. */
export function freePort(): number {
  for (;;) {
    const port = LOWEST_PORT + Math.floor(Math.random() * (HIGHEST_PORT - LOWEST_PORT));
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

/** Reads a file of /proc, which Deno itself may not read; "" if there is none. */
function proc(path: string): string {
  const { stdout } = new Deno.Command("cat", { args: [`/proc/${path}`], stderr: "null" })
    .outputSync();
  return new TextDecoder().decode(stdout);
}

/** The number of open file descriptors of this process, plus a constant for counting them. */
export function descriptors(): number {
  const { stdout } = new Deno.Command("ls", { args: [`/proc/${Deno.pid}/fd`] }).outputSync();
  return new TextDecoder().decode(stdout).trim().split("\n").length;
}

/** The number of established TCP connections to a port of this machine. */
export function connectionsTo(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = proc("net/tcp").split("\n").map((row) => row.trim().split(/\s+/));
  return rows.filter(([, from, , state]) => from?.endsWith(local) && state === "01").length;
}

/** Whether a process runs; a zombie does not. */
function isRunning(pid: number): boolean {
  const stat = proc(`${pid}/stat`);
  return stat !== "" && !stat.slice(stat.lastIndexOf(")")).startsWith(") Z");
}

/** Whether all threads of a process are stopped. */
function standsStill(pid: number): boolean {
  const { stdout } = new Deno.Command("sh", { args: ["-c", `cat /proc/${pid}/task/*/stat`] })
    .outputSync();
  return new TextDecoder().decode(stdout).trim().split("\n").every((stat) =>
    stat.slice(stat.lastIndexOf(")")).startsWith(") T")
  );
}

/** A process and its descendants, itself first. */
function family(pid: number): number[] {
  const children = proc(`${pid}/task/${pid}/children`).trim().split(" ").filter(Boolean);
  return [pid, ...children.flatMap((child) => family(Number(child)))];
}

function signal(pid: number, name: Deno.Signal): void {
  try {
    Deno.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound) && isRunning(pid)) throw error;
  }
}

const lasting: string[] = [];

/** Creates a folder for the common files of servers; it is removed after the last test. */
export function folderForAll(): string {
  const folder = Deno.makeTempDirSync({ prefix: "sockpool-" });
  lasting.push(folder);
  addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  return folder;
}

/** Ends the server and removes folders when this process ends in any way. */
const WATCHDOG = `trap "" INT TERM HUP; read -r _; kill -9 "$1" 2>/dev/null; shift; rm -rf "$@"`;

/**
 * A server. Disposing of it kills it and removes its folder. If this process is killed, a
 * watchdog does that.
 *
 * `await using server = await new RedisServer().start();`
 */
export abstract class Server implements AsyncDisposable {
  /** The folder of its files. */
  readonly directory: string = Deno.makeTempDirSync({ prefix: "sockpool-" });
  /** The port on which it listens. */
  port = freePort();
  #child: Deno.ChildProcess | undefined;
  #watchdog: Deno.ChildProcess | undefined;
  #isPrepared = false;
  #hasEnded = false;

  /** Creates the server's files in its folder. */
  protected prepare(): void | Promise<void> {}

  /** The program and its arguments. It must stay in the foreground. */
  protected abstract command(): string[];

  /** Resolves if the server answers. */
  protected abstract ping(): Promise<unknown>;

  /** Chooses other ports, because one was taken meanwhile. */
  protected choosePorts(): void {
    this.port = freePort();
  }

  /** The id of its main process. */
  get pid(): number {
    if (this.#child === undefined) throw new Error("The server is not running");
    return this.#child.pid;
  }

  /** Starts it, also after a kill. Resolves when it answers. */
  async start(): Promise<this> {
    const isRestart = this.#isPrepared;
    for (let attempt = 1;; attempt++) {
      try {
        if (!isRestart) await this.prepare();
        this.#isPrepared = true;
        this.#spawn();
        await this.#answers();
        return this;
      } catch (error) {
        await this.kill();
        if (!isRestart && attempt < 3) this.choosePorts();
        else if (attempt === 3) {
          await this[Symbol.asyncDispose]();
          throw error;
        }
      }
    }
  }

  /** Kills it and its descendants with SIGKILL; resolves when they are dead. */
  async kill(): Promise<void> {
    if (this.#child === undefined) return;
    const child = this.#child;
    this.#child = undefined;
    const pids = family(child.pid);
    for (const pid of pids) signal(pid, "SIGKILL");
    await child.status;
    await until(() => !pids.some(isRunning), `${pids} are dead`);
    await this.#dismissWatchdog();
  }

  /**
   * Stops it and its descendants with SIGSTOP, like a machine that hangs: nothing is closed. Resolves
   * when they have stopped.
   */
  async pause(): Promise<void> {
    const pids = family(this.pid);
    for (const pid of pids) signal(pid, "SIGSTOP");
    await until(() => pids.every(standsStill), `${pids} stand still`);
  }

  /** Resumes it. */
  resume(): void {
    for (const pid of family(this.pid)) signal(pid, "SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.directory, { recursive: true });
  }

  #spawn(): void {
    const [program, ...args] = this.command();
    this.#child = new Deno.Command("/bin/sh", {
      args: ["-c", `log=$1; shift; exec "$@" >"$log" 2>&1`, "sh", this.#log, program!, ...args],
      stdin: "null",
    }).spawn();
    this.#hasEnded = false;
    const child = this.#child;
    child.status.then(() => this.#hasEnded ||= child === this.#child);
    this.#watchdog = new Deno.Command("/bin/sh", {
      args: ["-c", WATCHDOG, "sh", `${this.#child.pid}`, this.directory, ...lasting],
      stdin: "piped",
    }).spawn();
  }

  get #log(): string {
    return `${this.directory}/log`;
  }

  async #answers(): Promise<void> {
    let failure: unknown;
    await until(async () => {
      if (this.#hasEnded) throw new Error(`Ended at once: ${await Deno.readTextFile(this.#log)}`);
      try {
        await this.ping();
        return true;
      } catch (error) {
        failure = error;
        return false;
      }
    }, () => `${this.command()[0]} answers: ${failure}`);
  }

  async #dismissWatchdog(): Promise<void> {
    const watchdog = this.#watchdog;
    if (watchdog === undefined) return;
    this.#watchdog = undefined;
    watchdog.kill("SIGKILL");
    await watchdog.status;
    await watchdog.stdin.close().catch(() => {}); // the pipe is broken
  }
}

const certificate = (file: string) =>
  new URL(`../support/certs/${file}.pem`, import.meta.url).pathname;

/** The certificate files of the servers in these tests. */
export const certificates = {
  ca: certificate("ca"),
  server: certificate("server"),
  key: certificate("server_key"),
  /** The authority that clients trust. */
  authority: () => Deno.readTextFileSync(certificate("ca")),
};
