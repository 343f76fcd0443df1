import { assert } from "@std/assert";
import { Pool, tcp } from "../../mod.ts";
import { parseTrace, trace } from "../../tools/simulate/arrivals.ts";
import { constant, exponentialTime } from "../../tools/simulate/distribution.ts";
import { Times } from "../../tools/simulate/outcome.ts";
import { seededRandom } from "../../tools/simulate/random.ts";
import { simulate } from "../../tools/simulate/simulation.ts";

const SIZE = 4;
const USE = 20;
const CALLERS = 200;

/** A server that answers each line after the time that the line says. */
function serve(): Deno.TcpListener {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answer = async (conn: Deno.Conn) => {
    for await (const chunk of conn.readable) {
      await sleep(Number(new TextDecoder().decode(chunk)));
      await conn.write(new TextEncoder().encode("done\n"));
    }
  };
  (async () => {
    for await (const conn of listener) answer(conn).catch(() => {});
  })();
  return listener;
}

function sleep(time: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, time));
}

Deno.test("the trace of a burst in a real pool, simulated, has the waits that were measured", async () => {
  using listener = serve();
  const { port } = listener.addr as Deno.NetAddr;
  const pool = new Pool(tcp({ port }), { maxSize: SIZE, acquireTimeout: Infinity });
  await pool.warm(SIZE);
  // As in docs/sizing_and_overload.md.
  const start = performance.now();
  const arrivals = new Map<object, string>();
  const lines: string[] = [];
  const waits = new Times();
  using _trace = pool.observe({
    onAcquire({ resource, waited }) {
      waits.add(waited);
      arrivals.set(resource, (performance.now() - start - waited).toFixed(1));
    },
    onRelease({ resource, held }) {
      lines.push(`${arrivals.get(resource)},${held}`);
    },
  });
  // All at once, since a busy machine would let those come late that come one by one.
  const random = seededRandom(1);
  const use = exponentialTime(USE);
  const calls = Array.from({ length: CALLERS }, () =>
    pool.use(async (conn) => {
      await conn.writeAll(`${use(random)}\n`);
      await conn.readUntil("\n");
    }));
  await Promise.all(calls);
  await pool.close();
  const recorded = parseTrace(lines.join("\n"), "calls.csv");
  const none = { failing: [], breaking: [], slow: [], outages: [], pauses: [], recycles: [] };
  const { waits: simulated } = await simulate({
    ...none,
    arrivals: trace(recorded),
    duration: recorded.at(-1)!.at + 1,
    warmUp: 0,
    use: constant(USE),
    cores: Infinity,
    dial: constant(0),
    urgent: 0,
    keys: 0,
    skew: 0,
    seed: 1,
  }, { maxSize: SIZE, acquireTimeout: Infinity });
  // Whatever the machine did is in the trace, but for the time between a release and the next use.
  const share = simulated.mean / waits.mean;
  const said = `measured ${waits.mean} ms, simulated ${simulated.mean} ms`;
  assert(share > 0.6 && share < 1.05, said);
  assert(waits.mean > 5 * USE, said);
});
