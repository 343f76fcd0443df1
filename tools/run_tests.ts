/**
 * Runs every test. Tests that need only the network, and the examples in the docs, run
 * with that permission; tests that start a server or a process have more.
 *
 *     deno task test [options of deno test] [test files]
 *
 * Its last line is `N passed, N failed, N skipped`. What failed, with its errors, and
 * the names of the skipped tests are listed before it.
 *
 * @module
 */

import { stripVTControlCharacters } from "node:util";
import { deno } from "./_deno.ts";

interface Group {
  permissions: string[];
  /** The files to run by default. */
  all: string[];
  /** The named files of this group. */
  takes(file: string): boolean;
}

const processTests = "**/*_process_test.ts";
const isProcessTest = (file: string) => file.endsWith("_process_test.ts");

const groups: Group[] = [
  {
    permissions: ["--allow-net"],
    all: ["--doc", `--ignore=${processTests}`],
    takes: (file) => !isProcessTest(file),
  },
  {
    permissions: ["--allow-all"], // the browser driver needs it
    all: [processTests],
    takes: isProcessTest,
  },
];

const isTestFile = (arg: string) => arg.endsWith("_test.ts");
const named = Deno.args.filter(isTestFile);
const options = Deno.args.filter((arg) => !isTestFile(arg));

const total = { passed: 0, failed: 0, ignored: 0 };
/** The ignored tests and steps, by name. */
const skipped: string[] = [];
/** What `deno test` says of the failed tests. */
let failures = "";

/** Resolves to the exit code. */
async function run({ permissions, all, takes }: Group): Promise<number> {
  const files = named.length > 0 ? named.filter(takes) : all;
  if (files.length === 0) return 0;
  const flags = ["--no-prompt", "--permit-no-files", "--lock=tests/npm.lock", ...permissions];
  const decoder = new TextDecoder();
  let output = "";
  const code = await deno(["test", ...flags, ...options, ...files], (chunk) => {
    output += decoder.decode(chunk, { stream: true });
    Deno.stdout.writeSync(chunk);
  });
  count(output);
  return code;
}

/** Adds up the last line of a run: `ok | 3 passed | 0 failed | 1 ignored (1 step)`. */
function count(output: string): void {
  const lines = stripVTControlCharacters(output).split(/\r?\n/);
  const summary = lines.findLast((line) => /^\S+ \| \d+ passed/.test(line)) ?? "";
  const counts = summary.matchAll(/\| (\d+) (passed|failed|ignored)(?: \((\d+) steps?\))?/g);
  for (const [, tests, what, steps = 0] of counts) {
    total[what as keyof typeof total] += Number(tests);
    if (what === "ignored") total.ignored += Number(steps);
  }
  const errors = lines.findLastIndex((line) => line === " ERRORS ");
  const end = lines.lastIndexOf(" FAILURES ");
  if (errors >= 0) failures += `${lines.slice(errors + 1, end).join("\n").trim()}\n`;
  for (const line of lines) {
    const [, name] = line.match(/^(.*) \.\.\. ignored \(/) ?? [];
    if (name !== undefined) skipped.push(name.trim());
  }
}

let code = 0;
for (const group of groups) code = await run(group) || code;

if (code !== 0 && total.failed === 0) total.failed = 1; // it failed before the first test
// `.ci/run` prints these lines once more at its end.
if (failures !== "") console.log(`--- failed ---\n${failures}--- end ---`);
if (skipped.length > 0) console.log(`Skipped:\n${skipped.map((name) => `  ${name}\n`).join("")}`);
console.log(`${total.passed} passed, ${total.failed} failed, ${total.ignored} skipped`);
Deno.exit(code);
