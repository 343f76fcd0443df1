import { fromFileUrl } from "./_paths.ts";

/** The configuration of a process. */
export interface MemberOptions {
  readonly semaphore: {
    readonly key: string;
    readonly permits: number;
    readonly leaseTime: number;
  };
  /** The port of a Redis, or a file of Deno KV. */
  readonly port?: number;
  readonly kv?: string;
  /** How far its date is ahead, in milliseconds. */
  readonly ahead?: number;
}

/** The commands for a process. */
export type Command =
  | { readonly do: "acquire" | "release"; readonly id: string }
  | { readonly do: "loop"; readonly callers: number; readonly hold: number }
  /** Lets callers use connections of a limited pool to a server, until the process ends. */
  | { readonly do: "connect"; readonly callers: number; readonly port: number }
  | { readonly do: "end" };

/** The events of a process. */
export interface Sight {
  readonly event:
    | "ready"
    | "asks"
    | "got"
    | "sees"
    | "lost"
    | "gives"
    | "failed"
    | "used"
    | "opens"
    | "closes"
    | "ended";
  /** The time in ms, by the machine's clock. */
  readonly at: number;
  readonly id?: string;
  readonly token?: number;
  readonly valid?: boolean;
  readonly lost?: boolean;
  readonly error?: string;
}

const encoder = new TextEncoder();

/** A process that shares permits with others, until it ends or is killed. */
export class Member implements AsyncDisposable {
  readonly sights: Sight[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #listening: Promise<void>;
  readonly #listeners = new Set<() => void>();
  #state: "running" | "dead" = "running";

  private constructor(options: MemberOptions) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-check",
        "--no-config",
        "--unstable-kv",
        "--allow-all",
        fromFileUrl(new URL("_member.ts", import.meta.url)),
        JSON.stringify(options),
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#listening = this.#listen();
  }

  static async start(options: MemberOptions): Promise<Member> {
    const member = new Member(options);
    await member.until(({ event }) => event === "ready");
    return member;
  }

  async tell(command: Command): Promise<void> {
    await this.#input.write(encoder.encode(JSON.stringify(command) + "\n"));
  }

  /** The first event that fulfils a condition, from the beginning or after a number of events. */
  async until(holds: (sight: Sight) => boolean, after = 0): Promise<Sight> {
    for (let i = after;; i++) {
      while (i >= this.sights.length) await this.#next();
      const sight = this.sights[i]!;
      if (holds(sight)) return sight;
    }
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Lets it give back all permits and end. */
  async end(): Promise<void> {
    if (this.#state === "dead") return;
    await this.tell({ do: "end" });
    await this.until(({ event }) => event === "ended");
    await this.#bury();
  }

  /** Kills it with SIGKILL; returns the time. */
  async murder(): Promise<number> {
    const at = performance.timeOrigin + performance.now();
    if (this.#state === "running") this.#child.kill("SIGKILL");
    await this.#bury();
    return at;
  }

  async #bury(): Promise<void> {
    this.#state = "dead";
    await this.#input.close().catch(() => {}); // the pipe is broken
    await this.#listening;
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "running") await this.murder();
  }

  #next(): Promise<void> {
    return new Promise((resolve) => {
      const listener = () => {
        this.#listeners.delete(listener);
        resolve();
      };
      this.#listeners.add(listener);
    });
  }

  async #listen(): Promise<void> {
    let text = "";
    for await (const chunk of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (text + chunk).split("\n");
      text = lines.pop()!;
      for (const line of lines) this.sights.push(JSON.parse(line));
      for (const listener of [...this.#listeners]) listener();
    }
  }
}

/** The span in which a permit was valid. */
export interface Span {
  readonly token: number;
  readonly from: number;
  readonly to: number;
}

/** The spans in which permits were valid, as seen by their holders. */
export function spansOf(sights: readonly Sight[]): Span[] {
  const spans = new Map<number, Span>();
  for (const { token, valid, at } of sights) {
    if (token === undefined || !valid) continue;
    spans.set(token, { token, from: spans.get(token)?.from ?? at, to: at });
  }
  return [...spans.values()];
}

/** The spans in which its connections were open, from before the dial to after the close. */
export function connectionsOf(sights: readonly Sight[]): Span[] {
  const opened = new Map<string, number>();
  const spans: Span[] = [];
  for (const { event, id, at } of sights) {
    if (event === "opens") opened.set(id!, at);
    if (event === "closes") spans.push({ token: spans.length, from: opened.get(id!)!, to: at });
  }
  return spans;
}

/** The largest number of overlapping spans, and when it is first reached. */
export function peakOf(spans: readonly Span[]): { peak: number; at: number } {
  const edges = spans.flatMap(({ from, to }) => [{ at: from, by: 1 }, { at: to, by: -1 }]);
  edges.sort((a, b) => a.at - b.at || a.by - b.by);
  let count = 0;
  let most = { peak: 0, at: NaN };
  for (const { at, by } of edges) {
    count += by;
    if (count > most.peak) most = { peak: count, at };
  }
  return most;
}
