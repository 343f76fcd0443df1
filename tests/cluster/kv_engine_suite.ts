/** The conformance suite over Deno KV; run by `kv_process_test.ts`, as it needs `--unstable-kv`. */
import { denoKvEngine, type KvStore } from "../../cluster/mod.ts";
import { testEngine } from "./engine_conformance.ts";

const { openKv } = Deno as unknown as {
  openKv(path: string): Promise<KvStore & { close(): void }>;
};

// As two processes have it: two handles on one file, which do not tell each other of changes.
testEngine("Deno KV engine", async () => {
  const folder = await Deno.makeTempDir();
  const handles = [await openKv(`${folder}/kv.db`), await openKv(`${folder}/kv.db`)];
  return {
    engines: [denoKvEngine(handles[0]!), denoKvEngine(handles[1]!)] as const,
    async [Symbol.asyncDispose]() {
      for (const handle of handles) handle.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
});
