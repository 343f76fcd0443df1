import { setTimer } from "./_timer.ts";

/**
 * Collects results until `interval` after the first has passed, or there are
 * `max`. A failure comes after the batch that it has cut short.
 */
export async function* collect<R>(
  results: AsyncIterableIterator<R>,
  interval: number,
  max: number,
): AsyncGenerator<R[]> {
  try {
    let next = results.next();
    for (let first = await next; !first.done; first = await next) {
      const batch = [first.value];
      next = results.next();
      const time = elapsed(interval);
      while (batch.length < max) {
        const step = await Promise.race([next, time.promise]).catch(() => undefined);
        if (step === undefined || step.done) break;
        batch.push(step.value);
        next = results.next();
      }
      time.stop();
      yield batch;
    }
  } finally {
    await results.return?.();
  }
}

function elapsed(interval: number): { promise: Promise<undefined>; stop(): void } {
  let timer: ReturnType<typeof setTimer>;
  const promise = new Promise<undefined>((resolve) => {
    timer = setTimer(interval, () => resolve(undefined));
  });
  return { promise, stop: () => clearTimeout(timer) };
}
