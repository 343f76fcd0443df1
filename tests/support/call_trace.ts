/**
 * Counts how much of the source one call goes through: a copy of the package, with a probe at the
 * start of every function body, is loaded beside the package itself.
 */

import type { ts as TypeScript } from "../tools/_npm.ts";

const ROOT = new URL("../../", import.meta.url);
const PARTS = ["internal", "pool", "connectors", "tasks", "mod.ts", "deno.json"];
const PROBE = "__sockpoolEntered";

/** The trace of one call. */
export interface CallTrace {
  /** Function bodies entered. */
  readonly entered: number;
  readonly files: number;
  /** How often control came back to a file that it had left. */
  readonly returns: number;
}

/** A copy of the package that records which functions are entered. */
export class TracedPackage implements AsyncDisposable {
  // deno-lint-ignore no-explicit-any -- it is the package's own type, of another copy
  readonly module: any;
  readonly #folder: string;
  #entered: string[] | undefined;

  private constructor(folder: string, module: unknown) {
    this.#folder = folder;
    this.module = module;
    Reflect.set(globalThis, PROBE, (file: string) => void this.#entered?.push(file));
  }

  static async load(): Promise<TracedPackage> {
    // It looks for permissions when it is loaded, which a test that is skipped does not have.
    const { ts } = await import("../tools/_npm.ts");
    const folder = await Deno.makeTempDir({ prefix: "call-trace-" });
    for (const part of PARTS) await copy(ts, new URL(part, ROOT), `${folder}/${part}`);
    return new TracedPackage(folder, await import(`file://${folder}/mod.ts`));
  }

  /** Traces a call until its result is there. */
  async trace<R>(call: () => R): Promise<[trace: CallTrace, result: Awaited<R>]> {
    const entered: string[] = this.#entered = [];
    const result = await call();
    this.#entered = undefined;
    return [traceOf(entered), result];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    Reflect.deleteProperty(globalThis, PROBE);
    await Deno.remove(this.#folder, { recursive: true });
  }
}

function traceOf(entered: readonly string[]): CallTrace {
  const seen = new Set<string>();
  let returns = 0;
  for (const [i, file] of entered.entries()) {
    if (file !== entered[i - 1] && seen.has(file)) returns++;
    seen.add(file);
  }
  return { entered: entered.length, files: seen.size, returns };
}

type Compiler = typeof TypeScript;

async function copy(ts: Compiler, from: URL, to: string): Promise<void> {
  if (!(await Deno.stat(from)).isDirectory) {
    const text = await Deno.readTextFile(from);
    return await Deno.writeTextFile(to, to.endsWith(".ts") ? withProbes(ts, to, text) : text);
  }
  await Deno.mkdir(to);
  for await (const { name } of Deno.readDir(from)) {
    await copy(ts, new URL(`${from.href}/${name}`), `${to}/${name}`);
  }
}

/** The source with a call of the probe at the start of every function body. */
function withProbes(ts: Compiler, path: string, text: string): string {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true);
  const probe = `globalThis[${JSON.stringify(PROBE)}]?.(${JSON.stringify(path)})`;
  const inserts: [at: number, text: string][] = [];
  const visit = (node: TypeScript.Node): void => {
    const body = ts.isFunctionLike(node) && (node as { body?: TypeScript.Node }).body;
    if (body && ts.isBlock(body)) inserts.push([startOf(ts, node, body, file), `;${probe};`]);
    else if (body) inserts.push([body.getStart(file), `(${probe}, `], [body.getEnd(), ")"]);
    ts.forEachChild(node, visit);
  };
  visit(file);
  for (const [at, insert] of inserts.sort(([a], [b]) => b - a)) {
    text = text.slice(0, at) + insert + text.slice(at);
  }
  return text;
}

/** Where a body begins; a constructor's after its call of `super`. */
function startOf(
  ts: Compiler,
  node: TypeScript.Node,
  body: TypeScript.Block,
  file: TypeScript.SourceFile,
): number {
  const [first] = body.statements;
  const callsSuper = ts.isConstructorDeclaration(node) && first?.getText(file).startsWith("super(");
  return callsSuper ? first!.getEnd() : body.getStart(file) + 1;
}
