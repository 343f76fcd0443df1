/**
 * The cost of observing: hooks, `track`, a monitor and OpenTelemetry's metrics, beside a
 * pool that was never observed. `off` was instrumented once, and is not any more.
 *
 * @module
 */

import { Pool, tcp } from "../../mod.ts";
import { monitor } from "../../monitor/mod.ts";
import { instrument, type ObservablePool } from "../../telemetry/mod.ts";
import { MeterProvider } from "../telemetry/_npm.ts";
import { type Case, type Contender, type Role, timed } from "./_bench.ts";
import { exchange } from "./_borrowers.ts";
import { EchoServer } from "./_echo_server.ts";
import { lending, type Rival, trivial } from "./_rivals.ts";

type Loops = typeof import("./_loops.ts");

const SIZE = 10;
const TURNS = 1_000;
const ECHOES = 10;
/** Precise enough to see a difference of a hundredth. */
const EFFORT = { rounds: 80 };

/** A way to observe a pool: its options, and an action on it. */
interface Observation {
  readonly name: string;
  readonly role: Role;
  readonly options?: { hooks?: { onAcquire(): void; onRelease(): void }; track?: boolean };
  observe?(pool: ObservablePool): Disposable | undefined;
}

const meters = new MeterProvider();
const measure = (pool: ObservablePool) =>
  instrument(pool, { meter: meters.getMeter("bench"), name: "things" });

const OBSERVATIONS: readonly Observation[] = [
  { name: "never observed", role: "floor" },
  {
    name: "off",
    role: "ours",
    observe(pool) {
      measure(pool)[Symbol.dispose]();
      return undefined;
    },
  },
  { name: "hooks", role: "ours", options: { hooks: { onAcquire() {}, onRelease() {} } } },
  { name: "track", role: "ours", options: { track: true } },
  { name: "monitor", role: "ours", observe: (pool) => monitor({ pool }) },
  { name: "instrumented", role: "ours", observe: measure },
];

/** All of them, each with its own copy of the loops: a hundredth can be the place of some code. */
async function all(run: (loops: Loops, rival: Rival) => unknown): Promise<Contender[]> {
  return await Promise.all(OBSERVATIONS.map(async ({ name, role, options = {}, observe }) => {
    const loops: Loops = await import(`./_loops.ts?observing-${name}`);
    const { open, close } = trivial();
    const pool = new Pool({ connect: open, close }, { maxSize: SIZE, ...options });
    const observing = observe?.(pool);
    await pool.use(() => Promise.resolve()); // opens one resource
    const rival = lending(pool);
    return timed(name, role, TURNS, () => run(loops, rival), async () => {
      observing?.[Symbol.dispose]();
      await pool.close();
    });
  }));
}

/** Ten borrowers that each send a message to a server in another process and await its echo. */
function echoes(port: number): Contender[] {
  return OBSERVATIONS.map(({ name, role, options = {}, observe }) => {
    const pool = new Pool(tcp({ port }), { maxSize: SIZE, ...options });
    const observing = observe?.(pool);
    const borrowers = Array.from({ length: SIZE }, () => exchange(64));
    const turns = async (talk: typeof borrowers[number]) => {
      for (let i = 0; i < ECHOES; i++) {
        const conn = await pool.acquire();
        try {
          await talk(conn);
        } finally {
          conn.release();
        }
      }
    };
    const close = async () => {
      observing?.[Symbol.dispose]();
      await pool.close();
    };
    return timed(name, role, SIZE * ECHOES, () => Promise.all(borrowers.map(turns)), close);
  });
}

let server: EchoServer | undefined;

export default [
  {
    name: "sequential",
    per: "acquire and release",
    by: "cpu",
    isQuick: true,
    effort: EFFORT,
    contenders: () => all((loops, rival) => loops.sequential(rival, TURNS)),
  },
  {
    name: "100 tasks on 10",
    per: "acquire and release",
    by: "cpu",
    effort: EFFORT,
    contenders: () => all((loops, rival) => loops.tasks(rival, 100, TURNS / 100)),
  },
  {
    name: "TCP, 64 B, 10 borrowers",
    per: "echo",
    by: "cpu",
    effort: EFFORT,
    async contenders() {
      server = await EchoServer.start("tcp");
      return echoes(server.port);
    },
    close: () => server?.[Symbol.asyncDispose](),
  },
] satisfies Case[];
