import type { ConnectContext, Connector, ConnectorContext, WatchContext } from "../pool/mod.ts";
import { shown } from "../internal/text.ts";
import { checkOptions, type Rule } from "../internal/validate.ts";

/** What a {@linkcode ScriptedConnector} opens. */
export class ScriptedResource {
  /** The first is 1. */
  readonly id: number;
  /** How many times it was closed. */
  closes = 0;
  /** Whether it has been initialised. */
  initialised = false;
  /** Whether it works no longer, as {@linkcode ScriptedConnector.break} has it. */
  broken = false;

  /**
   * Makes a resource.
   *
   * @param id Its number.
   */
  constructor(id: number) {
    this.id = id;
  }
}

/** The methods that follow a script. */
export type ScriptedMethod = "connect" | "init" | "check" | "reset" | "close";

/**
 * How a call is answered:
 *
 * - `"ok"`: at once, and truly;
 * - `"fail"`: by a rejection;
 * - `"throw"`: by a throw, not by a promise;
 * - `"hang"`: not before {@linkcode ScriptedCall.succeed} or `fail` is called; the signal is ignored;
 * - `"abort"`: not before its signal is aborted, and then with the signal's reason;
 * - `"late"`: not before its signal is aborted, and then as if nothing had happened;
 * - `"lie"`: at once, and falsely: `check` says the opposite, `connect` gives what it has given
 *   before, `init`, `reset` and `close` do nothing and call it done;
 * - a number: truly, after that many milliseconds.
 *
 * `close` gets no signal, and can't answer by `"abort"` or `"late"`.
 */
export type ScriptedAnswer = "ok" | "fail" | "throw" | "hang" | "abort" | "late" | "lie" | number;

/** For each method one answer, or answers in turn, of which the last one stays. By default `"ok"`. */
export type ConnectorScript = {
  readonly [Method in ScriptedMethod]?: ScriptedAnswer | readonly ScriptedAnswer[] | undefined;
};

const ANSWERS = ["ok", "fail", "throw", "hang", "abort", "late", "lie"];
/** Those of a method that gets no signal. */
const UNSIGNALLED_ANSWERS = ["ok", "fail", "throw", "hang", "lie"];
/** A timer of the platform can't be set for longer. */
const LONGEST_MS = 2 ** 31 - 1;

/** One answer, or a list of them. */
function answersOf(known: readonly unknown[]): Rule {
  const isDelay = (answer: unknown) =>
    typeof answer === "number" && answer >= 0 && answer <= LONGEST_MS;
  return (given, name, subject) => {
    for (const answer of Array.isArray(given) ? given : [given]) {
      if (known.includes(answer) || isDelay(answer)) continue;
      throw new TypeError(
        `Cannot ${subject} as '${name}' must be ${known.join(", ")} or a number of milliseconds, ` +
          `or a list of such answers: received ${shown(answer)}`,
      );
    }
  };
}

const RULES: Record<ScriptedMethod, Rule> = {
  connect: answersOf(ANSWERS),
  init: answersOf(ANSWERS),
  check: answersOf(ANSWERS),
  reset: answersOf(ANSWERS),
  close: answersOf(UNSIGNALLED_ANSWERS),
};

/** One call that the pool has made. */
export interface ScriptedCall {
  /** The method that was called. */
  readonly method: ScriptedMethod;
  /** How it is answered. */
  readonly answer: ScriptedAnswer;
  /** The resource, unless it is a dial. */
  readonly resource: ScriptedResource | undefined;
  /** The signal that came with it, if one did. */
  readonly signal: AbortSignal | undefined;
  /** Answers it truly, unless it has been answered. */
  succeed(): void;
  /** Answers it with an error, unless it has been answered. */
  fail(error?: unknown): void;
}

/**
 * A connector that works, fails, hangs, lies and answers late by script, for tests
 * of code that uses a pool.
 *
 * @example
 * ```ts
 * import { Pool } from "@x/sockpool";
 * import { ScriptedConnector } from "@x/sockpool/testing";
 *
 * const connector = new ScriptedConnector({ connect: ["fail", "ok"] });
 * await using pool = new Pool(connector, { retry: { attempts: 2, minDelay: 1 } });
 * (await pool.acquire()).release();
 * console.log(connector.calls.length, connector.open.length); // 2 1
 * ```
 */
export class ScriptedConnector implements Connector<ScriptedResource> {
  /** What it connects to. */
  readonly place = "scripted://";
  /** All calls of scripted methods, in their order. */
  readonly calls: ScriptedCall[] = [];
  /** All resources that it has made, in their order. */
  readonly resources: ScriptedResource[] = [];
  #script: ConnectorScript = {};
  readonly #turns = new Map<ScriptedMethod, number>();
  readonly #watches = new Map<ScriptedResource, WatchContext>();

  /**
   * Makes a connector.
   *
   * @param script How each method answers.
   * @throws {TypeError} If it names another method, or an answer that there is not.
   */
  constructor(script: ConnectorScript = {}) {
    this.script = script;
  }

  /** The script. Another one holds for later calls, which go on in turn. */
  get script(): ConnectorScript {
    return this.#script;
  }

  set script(script: ConnectorScript) {
    checkOptions(script, RULES, "script a connector");
    this.#script = script;
  }

  /** The resources that have not been closed. */
  get open(): ScriptedResource[] {
    return this.resources.filter(({ closes }) => closes === 0);
  }

  /** Breaks a resource, as a peer does that hangs up. One that is idle is reported as lost. */
  break(resource: ScriptedResource, reason: unknown = new Error("The peer has hung up")): void {
    resource.broken = true;
    this.#watches.get(resource)?.lost(reason);
  }

  /** Opens a resource, by script. */
  connect({ signal }: ConnectContext): Promise<ScriptedResource> {
    return this.#answer("connect", undefined, signal, (truly) => {
      const [first] = this.resources;
      if (!truly && first !== undefined) return first;
      const resource = new ScriptedResource(this.resources.length + 1);
      this.resources.push(resource);
      return resource;
    });
  }

  /** Initialises a resource, by script. */
  init(resource: ScriptedResource, { signal }: ConnectorContext): Promise<void> {
    return this.#answer("init", resource, signal, (truly) => {
      if (truly) resource.initialised = true;
    });
  }

  /** Whether a resource works, by script. */
  check(resource: ScriptedResource, { signal }: ConnectorContext): Promise<boolean> {
    return this.#answer("check", resource, signal, (truly) => truly !== resource.broken);
  }

  /** Resets a resource, by script. */
  reset(resource: ScriptedResource, { signal }: ConnectorContext): Promise<void> {
    return this.#answer("reset", resource, signal, () => {});
  }

  /** Closes a resource, by script. */
  close(resource: ScriptedResource): Promise<void> {
    return this.#answer("close", resource, undefined, (truly) => {
      if (truly) resource.closes++;
    });
  }

  /** Whether a resource was broken. */
  isBroken(resource: ScriptedResource): boolean {
    return resource.broken;
  }

  /** Keeps the callback for a loss. */
  watch(resource: ScriptedResource, context: WatchContext): void {
    this.#watches.set(resource, context);
  }

  /** Forgets it. */
  unwatch(resource: ScriptedResource): void {
    this.#watches.delete(resource);
  }

  /** The connector in one line: `ScriptedConnector(open 2, calls 7)`. */
  toString(): string {
    return `ScriptedConnector(open ${this.open.length}, calls ${this.calls.length})`;
  }

  /** Shows the same line where the connector is logged; Deno and Bun look for Node's symbol too. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  #next(method: ScriptedMethod): ScriptedAnswer {
    const turn = this.#turns.get(method) ?? 0;
    this.#turns.set(method, turn + 1);
    const answers = this.#script[method] ?? "ok";
    if (typeof answers !== "object") return answers;
    return answers[Math.min(turn, answers.length - 1)] ?? "ok";
  }

  #answer<R>(
    method: ScriptedMethod,
    resource: ScriptedResource | undefined,
    signal: AbortSignal | undefined,
    outcome: (truly: boolean) => R,
  ): Promise<R> {
    const answer = this.#next(method);
    if (answer === "throw") throw this.#note(method, resource, signal, answer, () => {}, () => {});
    return new Promise<R>((resolve, reject) => {
      const succeed = () => resolve(outcome(true));
      const error = this.#note(method, resource, signal, answer, succeed, reject);
      const onAbort = (action: () => void) =>
        signal?.addEventListener("abort", action, { once: true });
      if (answer === "ok") succeed();
      else if (answer === "lie") resolve(outcome(false));
      else if (answer === "fail") reject(error);
      else if (answer === "abort") onAbort(() => reject(signal?.reason));
      else if (answer === "late") onAbort(succeed);
      else if (answer !== "hang") setTimeout(succeed, answer);
    });
  }

  /** Adds the call to the list; returns its default error. */
  #note(
    method: ScriptedMethod,
    resource: ScriptedResource | undefined,
    signal: AbortSignal | undefined,
    answer: ScriptedAnswer,
    onSuccess: () => void,
    onFailure: (error: unknown) => void,
  ): Error {
    const failure = new Error(`${method}() fails by script`);
    let isOpen = answer === "hang";
    const once = (action: () => void) => {
      if (!isOpen) return;
      isOpen = false;
      action();
    };
    this.calls.push({
      method,
      answer,
      resource,
      signal,
      succeed: () => once(onSuccess),
      fail: (error = failure) => once(() => onFailure(error)),
    });
    return failure;
  }
}
