import { setTimer } from "../internal/timer.ts";
import { attempt } from "./_promises.ts";
import { monotonicNow } from "./_time_limits.ts";

/** The limit for results that come without a turn of the event loop, in which no timer can fire. */
const LONGEST_TURN = 10;

/**
 * Collects results until `interval` after the first, or until there are `max`. A failure
 * comes after the batch that it has cut short.
 */
export function collect<R>(
  results: AsyncIterableIterator<R>,
  interval: number,
  max: number,
): AsyncIterableIterator<R[]> {
  const batches = generate(results, interval, max);
  return {
    next: () => attempt(() => batches.next()),
    return: () => attempt(() => stop(results, batches)),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

async function* generate<R>(
  results: AsyncIterableIterator<R>,
  interval: number,
  max: number,
): AsyncGenerator<R[]> {
  let next = results.next();
  for (let first = await next; !first.done; first = await next) {
    const batch = [first.value];
    next = results.next();
    const time = elapsed(interval);
    while (batch.length < max && !time.isOver()) {
      const step = await Promise.race([next, time.promise]).catch(() => undefined);
      if (step === undefined || step.done) break;
      batch.push(step.value);
      next = results.next();
    }
    time.stop();
    yield batch;
  }
}

/** Closes the source of results, which a generator that awaits one could not. */
async function stop<R>(
  results: AsyncIterableIterator<R>,
  batches: AsyncGenerator<R[]>,
): Promise<IteratorResult<R[]>> {
  try {
    await results.return?.();
  } finally {
    await batches.return(undefined);
  }
  return { done: true, value: undefined };
}

function elapsed(interval: number) {
  let timer: ReturnType<typeof setTimer>;
  const promise = new Promise<undefined>((resolve) => {
    timer = setTimer(interval, () => resolve(undefined));
  });
  const end = monotonicNow() + Math.max(interval, LONGEST_TURN);
  return { promise, isOver: () => monotonicNow() >= end, stop: () => clearTimeout(timer) };
}
