/** All tests over Deno KV; run by `kv_process_test.ts`, as it needs `--unstable-kv`. */

import { denoKvEngine, type KvStore } from "../../cluster/mod.ts";
import { testEngine } from "./engine_conformance.ts";
import { testProcesses } from "./processes_suite.ts";

const { openKv } = Deno as unknown as {
  openKv(path: string): Promise<KvStore & { close(): void }>;
};

/** Handles on one file do not notify each other of changes, as in two processes. */
async function openHandles(count: number) {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/kv.db`;
  const handles: (KvStore & { close(): void })[] = [];
  while (handles.length < count) handles.push(await openKv(path));
  return {
    path,
    handles,
    async [Symbol.asyncDispose]() {
      for (const handle of handles) handle.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

testEngine("Deno KV engine", async () => {
  const opened = await openHandles(2);
  const [here, there] = opened.handles;
  return {
    engines: [denoKvEngine(here!), denoKvEngine(there!)] as const,
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
});

testProcesses("Deno KV", async () => {
  const opened = await openHandles(1);
  return {
    engine: denoKvEngine(opened.handles[0]!),
    options: { kv: opened.path },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}, { ignore: false });
