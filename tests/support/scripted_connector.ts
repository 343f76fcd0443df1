import type { Connector, ConnectorContext } from "../../pool/mod.ts";

/** A resource that counts how often it was closed. */
export class Thing {
  closes = 0;
  detached = false;

  constructor(readonly id: number) {}
}

export type Method = "connect" | "check" | "reset" | "close";

/** How a method behaves. A slow one takes {@linkcode SLOW}, and one that never answers can be answered by hand. */
export type Behaviour = "ok" | "error" | "slow" | "never" | "throw";

export type Script = Record<Method, Behaviour>;

/** In milliseconds, usually of fake time. */
export const SLOW = 10;

export const HEALTHY: Readonly<Script> = { connect: "ok", check: "ok", reset: "ok", close: "ok" };

/** One call of the pool, and the functions to answer it. */
export interface Call {
  readonly method: Method;
  readonly signal: AbortSignal | undefined;
  succeed(): void;
  fail(error?: unknown): void;
}

/** A connector whose methods follow the script at the time of the call. */
export class ScriptedConnector implements Connector<Thing> {
  script: Script;
  readonly calls: Call[] = [];
  readonly things: Thing[] = [];
  /** Called inside each method, before it answers. */
  onCall: (method: Method) => void = () => {};

  constructor(script: Partial<Script> = {}, without: readonly ("check" | "reset")[] = []) {
    this.script = { ...HEALTHY, ...script };
    for (const method of without) delete this[method];
  }

  check?: (thing: Thing, context: ConnectorContext) => Promise<boolean> = (_thing, { signal }) =>
    this.#answer("check", signal, () => true);

  reset?: (thing: Thing, context: ConnectorContext) => Promise<void> = (_thing, { signal }) =>
    this.#answer("reset", signal, () => {});

  connect({ signal }: ConnectorContext): Promise<Thing> {
    return this.#answer("connect", signal, () => {
      const thing = new Thing(this.things.length);
      this.things.push(thing);
      return thing;
    });
  }

  close(thing: Thing): Promise<void> {
    thing.closes++;
    return this.#answer("close", undefined, () => {});
  }

  /** The resources that are not closed yet. */
  get open(): Thing[] {
    return this.things.filter((thing) => thing.closes === 0 && !thing.detached);
  }

  /** The latest call of a method. */
  last(method: Method): Call {
    const call = this.calls.findLast((each) => each.method === method);
    if (call === undefined) throw new Error(`${method} has not been called`);
    return call;
  }

  count(method: Method): number {
    return this.calls.filter((each) => each.method === method).length;
  }

  /** From now on every call succeeds; pending calls are answered late. */
  heal(): void {
    this.script = { ...HEALTHY };
    for (const call of this.calls) call.succeed();
  }

  #answer<R>(method: Method, signal: AbortSignal | undefined, value: () => R): Promise<R> {
    const behaviour = this.script[method];
    const answer = new Promise<R>((resolve, reject) => {
      let answered = false;
      const once = (answer: () => void) => () => {
        if (!answered) answer();
        answered = true;
      };
      const succeed = once(() => resolve(value()));
      const fail = (error: unknown = new Error(`${method} failed`)) => once(() => reject(error))();
      this.calls.push({ method, signal, succeed, fail });
      this.onCall(method);
      if (behaviour === "ok") succeed();
      else if (behaviour === "error" || behaviour === "throw") fail();
      else if (behaviour === "slow") setTimeout(succeed, SLOW);
    });
    if (behaviour !== "throw") return answer;
    answer.catch(() => {});
    throw new Error(`${method} threw`);
  }
}
