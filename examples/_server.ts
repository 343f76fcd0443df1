/**
 * A PostgreSQL, a MariaDB or a Redis that runs as long as the example that started it,
 * on a free port of loopback, in its own folder. Used by
 * `postgres.ts`, `driver_pg.ts`, `driver_mysql2.ts` and `driver_redis.ts`.
 */

import cert from "../tests/support/certs/server.pem" with { type: "text" };
import key from "../tests/support/certs/server_key.pem" with { type: "text" };
import { endWithout } from "./_permission.ts";

/** The permissions to start one. */
export const SERVER_FLAGS = ["--allow-run", "--allow-read", "--allow-write", "--allow-env"];

/** A disposable server. */
export interface OwnServer extends AsyncDisposable {
  readonly url: URL;
  /** The folder of its files, and of the Unix socket of a PostgreSQL. */
  readonly folder: string;
}

// Postgres waits for its clients at SIGTERM, but not at SIGINT.
type Signal = "TERM" | "INT";

// The shell ends the server when this process ends in any way, since its stdin is closed then.
const GUARD = `trap : INT TERM HUP; "$@" </dev/null >"$LOG" 2>&1 & read -r _
  kill -s $SIGNAL $!; wait $!; rm -rf "$FOLDER"`;

/** Starts a PostgreSQL, with TLS, whose user `app` has the password `secret`; returns what is missing if it cannot. */
export async function startPostgres(): Promise<OwnServer | string> {
  const programs = find("postgres", "initdb");
  if (typeof programs === "string") return programs;
  const [postgres, initdb] = programs;
  const folder = await makeFolder("postgres");
  const port = unusedPort();
  const data = `${folder}/data`;
  for (const [name, text] of Object.entries({ password: "secret", cert, key })) {
    await Deno.writeTextFile(`${folder}/${name}`, text, { mode: 0o600 });
    await giveTo("postgres", `${folder}/${name}`);
  }
  const access = [`--pwfile=${folder}/password`, "--auth=scram-sha-256", "--username=app"];
  await run(
    as("postgres", [initdb!, "-D", data, "--no-sync", "--locale=C", "-E", "UTF8", ...access]),
  );
  const settings = [
    ...["listen_addresses=127.0.0.1", `unix_socket_directories=${folder}`, "fsync=off"],
    ...["ssl=on", `ssl_cert_file=${folder}/cert`, `ssl_key_file=${folder}/key`],
  ];
  const flags = settings.flatMap((setting) => ["-c", setting]);
  const command = as("postgres", [postgres!, "-D", data, "-p", `${port}`, ...flags]);
  return serve(`postgres://app:secret@127.0.0.1:${port}/postgres`, folder, command, "INT");
}

/** Starts a MariaDB whose user `root` has no password; returns what is missing if it cannot. */
export async function startMariaDb(): Promise<OwnServer | string> {
  const programs = find("mariadbd", "mariadb-install-db");
  if (typeof programs === "string") return programs;
  const [mariadbd, install] = programs;
  const folder = await makeFolder("mysql");
  const port = unusedPort();
  const common = ["--no-defaults", `--datadir=${folder}/data`, "--innodb-log-file-size=4M"];
  const setup = ["--auth-root-authentication-method=normal", "--skip-test-db"];
  await run(as("mysql", [install!, ...common, ...setup]));
  const place = [`--port=${port}`, "--bind-address=127.0.0.1", `--socket=${folder}/socket`];
  const command = as("mysql", [mariadbd!, ...common, ...place, `--pid-file=${folder}/pid`]);
  return serve(`mysql://root@127.0.0.1:${port}/mysql`, folder, command);
}

/** Starts a Redis; returns what is missing if it cannot. */
export async function startRedis(): Promise<OwnServer | string> {
  const programs = find("redis-server");
  if (typeof programs === "string") return programs;
  const folder = await makeFolder();
  const port = unusedPort();
  const command = [programs[0]!, "--bind", "127.0.0.1", "--port", `${port}`, "--save", ""];
  return serve(`redis://127.0.0.1:${port}`, folder, command);
}

function serve(
  url: string,
  folder: string,
  command: string[],
  signal: Signal = "TERM",
): OwnServer {
  const shell = new Deno.Command("/bin/sh", {
    args: ["-c", GUARD, "sh", ...command],
    env: { FOLDER: folder, LOG: `${folder}/log`, SIGNAL: signal },
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  return {
    url: new URL(url),
    folder,
    async [Symbol.asyncDispose]() {
      await shell.stdin.close();
      await shell.status;
    },
  };
}

/** The paths of programs, or the missing one. */
function find(...programs: string[]): string[] | string {
  const paths = programs.map((program) =>
    folders().map((folder) => `${folder}/${program}`).find(exists) ?? ""
  );
  const missing = programs[paths.indexOf("")];
  return missing === undefined
    ? paths
    : `no ${missing} here: install one, or name a server by its URL`;
}

/** The folders of PATH, and those of Debian's servers. */
function folders(): string[] {
  const path = granted(() => Deno.env.get("PATH") ?? "").split(":");
  const debian = "/usr/lib/postgresql";
  const versions = exists(debian) ? [...Deno.readDirSync(debian)].map(({ name }) => name) : [];
  return [...path, "/usr/sbin", ...versions.map((version) => `${debian}/${version}/bin`)];
}

function exists(path: string): boolean {
  try {
    granted(() => Deno.statSync(path));
    return true;
  } catch {
    return false;
  }
}

async function makeFolder(user?: string): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "sockpool-" });
  if (user !== undefined) await giveTo(user, folder);
  return folder;
}

/** Gives a file or folder to a system user, if this process is root. */
async function giveTo(user: string, path: string): Promise<void> {
  if (isRoot()) await run(["chown", `${user}:`, path]);
}

/** The same command as a system user, since such servers refuse to run as root. */
function as(user: string, command: string[]): string[] {
  if (!isRoot()) return command;
  return ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups", "--", ...command];
}

function isRoot(): boolean {
  const { stdout } = granted(() => new Deno.Command("id", { args: ["-u"] }).outputSync());
  return new TextDecoder().decode(stdout).trim() === "0";
}

async function run([program, ...args]: string[]): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(program!, { args }).output();
  if (success) return;
  const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
  throw new Error(`${program} failed: ${said}`);
}

function granted<R>(action: () => R): R {
  try {
    return action();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) {
      endWithout(["--allow-net=127.0.0.1", ...SERVER_FLAGS]);
    }
    throw error;
  }
}

function unusedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Runs a function with the server named by the first argument, or with one that is started. */
export async function withServer(
  start: () => Promise<OwnServer | string>,
  action: (url: URL, folder: string) => Promise<void>,
): Promise<void> {
  const [named] = Deno.args;
  if (named !== undefined) return await action(new URL(named), "");
  const server = await start();
  if (typeof server === "string") return console.log(server);
  await using _server = server;
  await action(server.url, server.folder);
}
