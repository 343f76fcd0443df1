import { alone } from "./_alone.ts";
import { type Case, type Contender, timed } from "./_bench.ts";
import { Stopwatch } from "./_cpu_time.ts";
import { crowd, sequential, signalled, signalledCrowd, tasks, tries, uses } from "./_loops.ts";
import { type Kind, KINDS, type Rival, VARIANTS } from "./_rivals.ts";

// The size of every pool here. Other options are the defaults.
const SIZE = 10;
const TURNS = 1_000;

// With more waiters, tarn takes seconds where the others take milliseconds.
const MOST_FOR_TARN = 20_000;

const shared = new AbortController().signal;
const sharedSignal = () => shared;
const ownSignal = () => new AbortController().signal;

/** Makes a contender of a pool that has one resource open. */
type Enter = (kind: Kind, rival: Rival) => Contender;

function steadily(operations: number, run: (rival: Rival) => unknown): Enter {
  return ({ name, role }, rival) => {
    return timed(name, role, operations, () => run(rival), () => rival.close());
  };
}

const channel = new MessageChannel();

/** Lets the event loop turn: by a message, since a timer takes a millisecond. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    channel.port1.onmessage = () => resolve();
    channel.port2.postMessage(undefined);
  });
}

/** Does some at a time, each time in another turn of the event loop, as a service does; the turns are not timed. */
function byTurns(turns: number, operations: number, run: (rival: Rival) => unknown): Enter {
  return ({ name, role }, rival) => ({
    name,
    role,
    async measure() {
      const watch = new Stopwatch();
      for (let i = 0; i < turns; i++) {
        await turn();
        watch.start();
        await run(rival);
        watch.stop();
      }
      return watch.per(turns * operations);
    },
    close: () => rival.close(),
  });
}

function contest(name: string, per: string, kinds: readonly Kind[], enter: Enter): Case {
  return {
    name,
    per,
    by: "cpu",
    contenders: (only) =>
      Promise.all(
        kinds.filter(({ name }) => only === undefined || only === name).map(async (kind) => {
          const rival = await kind.make(SIZE);
          await rival.use(() => Promise.resolve());
          return { ...enter(kind, rival), isExtra: kind.isExtra ?? false };
        }),
      ),
  };
}

function quick(given: Case): Case {
  return { ...given, isQuick: true };
}

const ALL = [...KINDS, ...VARIANTS];
const BORROW = "acquire and release";

/** With all that our pools can be asked for; each once more alone. */
const usual: Case[] = [
  quick(contest("sequential", BORROW, ALL, steadily(TURNS, (rival) => sequential(rival, TURNS)))),
  quick(contest("100 a turn", BORROW, ALL, byTurns(100, 100, (rival) => sequential(rival, 100)))),
  quick(
    contest("100 tasks on 10", BORROW, ALL, steadily(TURNS, (rival) => tasks(rival, 100, 10))),
  ),
  contest("use", "call", ALL, steadily(TURNS, (rival) => uses(rival, TURNS))),
];

function waiters(count: number): Case {
  const kinds = KINDS.filter(({ name }) => name !== "tarn" || count <= MOST_FOR_TARN);
  const name = `${count.toLocaleString("en")} waiters`;
  const given = contest(name, BORROW, kinds, steadily(count, (rival) => crowd(rival, count)));
  return { ...quick(given), effort: count < 100_000 ? {} : { warmUps: 1, rounds: 5 } };
}

const signals: [string, (rival: Rival) => unknown][] = [
  ["a signal each", (rival) => signalled(rival, TURNS, ownSignal)],
  ["one signal", (rival) => signalled(rival, TURNS, sharedSignal)],
  ["waiters with a signal each", (rival) => signalledCrowd(rival, TURNS, ownSignal)],
  ["waiters with one signal", (rival) => signalledCrowd(rival, TURNS, sharedSignal)],
];

export default [
  ...usual,
  ...usual.map((given) => ({
    ...alone(given, ALL, import.meta.url),
    name: `${given.name}, alone`,
  })),
  waiters(1_000),
  waiters(20_000),
  waiters(100_000),
  contest(
    "tryAcquire",
    "call and release",
    KINDS.filter(({ role }) => role !== "peer"),
    steadily(TURNS, (rival) => tries({ ...rival, tryAcquire: rival.tryAcquire! }, TURNS)),
  ),
  ...signals.map(([name, run]) => contest(name, BORROW, KINDS, steadily(TURNS, run))),
] satisfies Case[];
