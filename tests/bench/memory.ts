import type { Case, Contender } from "./_bench.ts";
import { EchoServer } from "./_echo_server.ts";
import type { Footprint } from "./_memory_process.ts";

type Measure = keyof Footprint;

/** The kind of hoard, and its first and last count. */
interface Thing {
  readonly name: string;
  readonly few: number;
  readonly many: number;
  /** The owners: ours first, the floor second. */
  readonly owners: string[];
}

const pools = ["sockpool", "bare FIFO", "generic-pool", "lightning-pool", "tarn"];

const things: Thing[] = [
  { name: "waiter", few: 10_000, many: 100_000, owners: pools },
  { name: "idle resource", few: 1_000, many: 10_000, owners: pools },
  {
    name: "idle socket",
    few: 1_000,
    many: 10_000,
    owners: ["sockpool", "bare", "bare, read parked"],
  },
];

const decoder = new TextDecoder();

async function takeFootprint(thing: Thing, owner: string, port: number): Promise<Footprint> {
  const script = new URL("_memory_process.ts", import.meta.url).href;
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-check",
      "--allow-all",
      "--v8-flags=--expose-gc",
      script,
      thing.name,
      owner,
      `${thing.few}`,
      `${thing.many}`,
      `${port}`,
    ],
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`Cannot tell what the ${thing.name}s of ${owner} take`);
  return JSON.parse(decoder.decode(stdout));
}

const taken = new Map<string, Promise<Footprint>>();

/** One footprint, measured once for heap and rss. */
function footprintOf(
  thing: Thing,
  owner: string,
  round: number,
  port: number,
): Promise<Footprint> {
  const key = `${thing.name} of ${owner}, ${round}`;
  if (!taken.has(key)) taken.set(key, takeFootprint(thing, owner, port));
  return taken.get(key)!;
}

function memory(thing: Thing, measure: Measure): Case {
  let server: EchoServer | undefined;
  const contender = (name: string, place: number): Contender => {
    let round = 0;
    return {
      name,
      isSlow: name === "tarn",
      role: place === 0 ? "ours" : place === 1 ? "floor" : "peer",
      measure: async () => (await footprintOf(thing, name, round++, server?.port ?? 0))[measure],
    };
  };
  return {
    name: `${thing.name}, ${measure}`,
    per: thing.name,
    unit: "B",
    isQuick: measure === "heap" && thing.name === "waiter",
    effort: { warmUps: 0, rounds: 3 }, // the results hardly vary
    async contenders() {
      if (thing.name === "idle socket") server = await EchoServer.start("tcp");
      return thing.owners.map(contender);
    },
    close: () => server?.[Symbol.asyncDispose](),
  };
}

export default things.flatMap((thing) => [memory(thing, "heap"), memory(thing, "rss")]);
