import { setImmediate } from "node:timers";

/** Steps in one turn of the event loop: a turn of its own for each would take ten times as long. */
const BATCH = 64;

/** Takes a step again and again until one returns false. After each, all promises settle that can. */
export function repeat(step: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let isOver = false;
    const next = () => {
      if (isOver) return;
      try {
        isOver = !step();
      } catch (error) {
        isOver = true;
        reject(error);
      }
    };
    const turn = () => {
      if (isOver) return resolve();
      for (let i = 0; i < BATCH; i++) setImmediate(next);
      setImmediate(turn);
    };
    turn();
  });
}
