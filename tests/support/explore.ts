import { fc } from "./npm.ts";
import { configs, run, sequences } from "./model.ts";

/** The outcome of many runs. */
export interface Exploration {
  runs: number;
  steps: number;
  /** The shortest failing run that was found, in words. */
  failure: string | undefined;
}

/** Tries runs until one breaks a law, then shrinks it. The seed determines all runs. */
export async function explore(seed: number, numRuns: number): Promise<Exploration> {
  const done = { runs: 0, steps: 0 };
  const property = fc.asyncProperty(configs, sequences, async (config, sequence) => {
    done.runs++;
    done.steps += sequence.length;
    return (await run(config, sequence)).violation === undefined;
  });
  const { counterexample } = await fc.check(property, { seed, numRuns });
  if (counterexample === null) return { ...done, failure: undefined };
  const [config, sequence] = counterexample;
  const { lines } = await run(config, sequence, true);
  const failure = [
    JSON.stringify(config, (_, value) => value === Infinity ? "Infinity" : value),
    JSON.stringify(sequence),
    ...lines,
  ].join("\n  ");
  return { ...done, failure };
}
