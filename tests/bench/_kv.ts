/** The semaphore of a cluster over Deno KV. Needs the flag `--unstable-kv`. */

import { denoKvEngine, type KvStore } from "../../cluster/mod.ts";
import type { Contestant } from "./_alone.ts";
import { type Case, timed } from "./_bench.ts";
import { uncontended } from "./_uncontended.ts";

const ours = { name: "ClusterSemaphore", role: "ours" } as const;
const floor = { name: "atomic check and set", role: "floor" } as const;

export const KV_CONTESTANTS: readonly Contestant[] = [ours, floor];

let close: () => Promise<void>;

export const kvCase: Case = {
  name: "Deno KV, a local file",
  per: "acquire",
  by: "wall",
  async contenders() {
    const folder = await Deno.makeTempDir();
    const { openKv } = Deno as unknown as {
      openKv(path: string): Promise<KvStore & { close(): void }>;
    };
    const kv = await openKv(`${folder}/kv.db`);
    close = () => {
      kv.close();
      return Deno.remove(folder, { recursive: true });
    };
    return [
      { ...ours, ...uncontended(denoKvEngine(kv)) },
      timed(floor.name, floor.role, 1, bareRoundTrip(kv)),
    ];
  },
  close: () => close(),
};

/** The cost of a transaction alone. */
function bareRoundTrip(kv: KvStore): () => Promise<void> {
  const key = ["bare"];
  let versionstamp: string | null = null;
  let count = 0;
  return async () => {
    const result = await kv.atomic().check({ key, versionstamp }).set(key, { count: ++count })
      .commit();
    if (!result.ok) throw new Error("nobody else writes here");
    versionstamp = result.versionstamp;
  };
}

export default [kvCase];
