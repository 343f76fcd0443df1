import { setImmediate } from "node:timers";

/** Steps per turn of the event loop; one step per turn would take ten times as long. */
const BATCH = 64;

/** Takes steps until one returns false. After each step all microtasks run. */
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
