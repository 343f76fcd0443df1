/**
 * Runs every test: those that need the network alone, and the examples in the
 * docs, with just that; those that start a server or a process with more.
 *
 *     deno task test [options of deno test] [test files]
 *
 * @module
 */

import { deno } from "./_deno.ts";

interface Group {
  permissions: string[];
  /** What to run when no files are named. */
  all: string[];
  /** Which of the named files to run. */
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
    permissions: [
      "--allow-net",
      "--allow-run",
      "--allow-read",
      "--allow-write",
      "--allow-env",
    ],
    all: [processTests],
    takes: isProcessTest,
  },
];

const isTestFile = (arg: string) => arg.endsWith("_test.ts");
const named = Deno.args.filter(isTestFile);
const options = Deno.args.filter((arg) => !isTestFile(arg));

let passed = 0;
let failed = 0;

/** Resolves to the exit code. */
async function run({ permissions, all, takes }: Group): Promise<number> {
  const files = named.length > 0 ? named.filter(takes) : all;
  if (files.length === 0) return 0;
  const flags = ["--no-prompt", "--permit-no-files", ...permissions];
  const decoder = new TextDecoder();
  let output = "";
  const code = await deno(["test", ...flags, ...options, ...files], (chunk) => {
    output += decoder.decode(chunk, { stream: true });
    Deno.stdout.writeSync(chunk);
  });
  count(output);
  return code;
}

/** Adds up what a run says at its end: `ok | 3 passed | 0 failed`. */
function count(output: string): void {
  const summary = /\| (\d+) passed.*? \| (\d+) failed/g;
  const [, ok, bad] = [...output.matchAll(summary)].at(-1) ?? [];
  passed += Number(ok ?? 0);
  failed += Number(bad ?? 0);
}

let code = 0;
for (const group of groups) code = await run(group) || code;

if (code !== 0 && failed === 0) failed = 1; // it never came to a test
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(code);
