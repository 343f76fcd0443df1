import { type Case, type Contender, timed } from "./_bench.ts";
import { type Rival, rivals } from "./_rivals.ts";

type Loops = typeof import("./_loops.ts");

// Of every pool here. All else is as each has it by default.
const SIZE = 10;
const TURNS = 1_000;

// With more waiters, tarn takes seconds for what the others do in milliseconds.
const MOST_FOR_TARN = 20_000;

const shared = new AbortController().signal;
const sharedSignal = () => shared;
const ownSignal = () => new AbortController().signal;

/** Pools of which each does the same in its own copy of the loops. */
async function all(
  operations: number,
  run: (loops: Loops, rival: Rival) => unknown,
  takesPart: (rival: Rival) => boolean = () => true,
): Promise<Contender[]> {
  return await Promise.all(
    rivals(SIZE).filter(takesPart).map(async (rival) => {
      const loops: Loops = await import(`./_loops.ts?${rival.name}`);
      await rival.use(() => Promise.resolve()); // one is open from now on
      const { name, role, isSlow = false, close } = rival;
      return { ...timed(name, role, operations, () => run(loops, rival), close), isSlow };
    }),
  );
}

function turns(name: string, run: (loops: Loops, rival: Rival) => unknown, isQuick = false): Case {
  return {
    name,
    per: name === "use" ? "call" : "acquire and release",
    unit: "ns",
    isQuick,
    contenders: () => all(TURNS, run),
  };
}

function waiters(count: number): Case {
  return {
    name: `${count.toLocaleString("en")} waiters`,
    per: "acquire and release",
    unit: "ns",
    isQuick: true,
    effort: count < 100_000 ? {} : { warmUps: 1, rounds: 5 },
    contenders: () =>
      all(
        count,
        (loops, rival) => loops.crowd(rival, count),
        ({ name }) => name !== "tarn" || count <= MOST_FOR_TARN,
      ),
  };
}

export default [
  turns("sequential", (loops, rival) => loops.sequential(rival, TURNS), true),
  turns("100 tasks on 10", (loops, rival) => loops.tasks(rival, 100, TURNS / 100), true),
  waiters(1_000),
  waiters(20_000),
  waiters(100_000),
  turns("use", (loops, rival) => loops.uses(rival, TURNS)),
  {
    name: "tryAcquire",
    per: "call and release",
    unit: "ns",
    contenders: () =>
      all(
        TURNS,
        (loops, rival) => loops.tries({ ...rival, tryAcquire: rival.tryAcquire! }, TURNS),
        ({ tryAcquire }) => tryAcquire !== undefined,
      ),
  },
  turns("a signal each", (loops, rival) => loops.signalled(rival, TURNS, ownSignal)),
  turns("one signal", (loops, rival) => loops.signalled(rival, TURNS, sharedSignal)),
  turns(
    "waiters with a signal each",
    (loops, rival) => loops.signalledCrowd(rival, TURNS, ownSignal),
  ),
  turns(
    "waiters with one signal",
    (loops, rival) => loops.signalledCrowd(rival, TURNS, sharedSignal),
  ),
] satisfies Case[];
