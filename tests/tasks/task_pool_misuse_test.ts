import {
  assert,
  assertEquals,
  assertLess,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async";
import { TaskPool, TaskPoolClosedError } from "../../tasks/mod.ts";
import { REASON } from "../support/held.ts";
import { microtasks } from "../support/scene.ts";
import { Numbers } from "../support/inputs.ts";
import { turn } from "./_support.ts";

for (const how of ["its signal", "cancel()", "return()"] as const) {
  for (const call of ["map()", "stream()"] as const) {
    if (call === "map()" && how === "return()") continue;
    Deno.test(`an input that ends its own ${call} by ${how} while it is pulled is closed, and no further body is called`, async () => {
      const pool = new TaskPool(1);
      const abort = new AbortController();
      const bodies: number[] = [];
      let closed = 0;
      let stream: AsyncIterableIterator<unknown> | undefined;
      const stop = {
        "its signal": () => abort.abort(REASON),
        "cancel()": () => pool.cancel(REASON),
        "return()": () => stream!.return!(),
      }[how];
      function* input() {
        try {
          yield 1;
          stop();
          yield 2;
          yield 3;
        } finally {
          closed++;
        }
      }
      const { signal } = abort;
      const body = (n: number) => void bodies.push(n);
      if (call === "map()") {
        const error = await assertRejects(() => pool.map(input(), body, { signal }));
        assertStrictEquals(error, REASON);
      } else {
        stream = pool.stream(input(), body, { signal });
        await Array.fromAsync(stream).catch(() => {});
      }
      await pool.join();
      assertEquals([bodies, closed, pool.stats.running], [[1], 1, 0]);
    });
  }
}

for (const how of ["its signal", "cancel()", "the pool's signal"] as const) {
  Deno.test(`an input that ends its own submitAll() by ${how} while it is taken is closed, and no body is called`, async () => {
    const [own, whole] = [new AbortController(), new AbortController()];
    const pool = new TaskPool({ size: 2, signal: whole.signal });
    const bodies: number[] = [];
    let closed = 0;
    const stop = {
      "its signal": () => own.abort(REASON),
      "cancel()": () => void pool.cancel(REASON),
      "the pool's signal": () => whole.abort(REASON),
    }[how];
    function* input() {
      try {
        yield 1;
        stop();
        for (let n = 2;; n++) yield n; // it never ends by itself
      } finally {
        closed++;
      }
    }
    const handles = pool.submitAll(input(), (n) => void bodies.push(n), { signal: own.signal });
    for (const { result } of handles) assertStrictEquals(await assertRejects(() => result), REASON);
    assertEquals([handles.length, bodies, closed], [2, [], 1]);
    await pool.join();
  });
}

Deno.test("an input that closes the pool of its own submitAll() is closed, and the call is refused", async () => {
  const pool = new TaskPool(2);
  let closed = 0;
  function* input() {
    try {
      yield 1;
      pool.close();
      for (let n = 2;; n++) yield n;
    } finally {
      closed++;
    }
  }
  assertThrows(() => pool.submitAll(input(), () => {}), TaskPoolClosedError);
  assertEquals(closed, 1);
  await pool.close();
});

Deno.test("submitAll() inside the input of another is cancelled with it, and work submitted there before too", async () => {
  const pool = new TaskPool(1);
  const bodies: string[] = [];
  const body = (name: string) => void bodies.push(name);
  const inner: Promise<unknown>[] = [];
  function* input() {
    yield "a";
    inner.push(...pool.submitAll(["b", "c"], body).map(({ result }) => result));
    yield "d";
    pool.cancel(REASON);
    yield "e";
  }
  const outer = pool.submitAll(input(), body).map(({ result }) => result);
  for (const result of [...inner, ...outer]) {
    assertStrictEquals(await assertRejects(() => result), REASON);
  }
  const later = pool.submitAll(["f"], body).map(({ result }) => result);
  await Promise.all(later);
  assertEquals([outer.length, bodies], [3, ["f"]]);
  await pool.join();
});

Deno.test("a stalled ReadableStream is cancelled on break while a read is pending", async () => {
  const pool = new TaskPool(2);
  let cancelled = 0;
  const input = new ReadableStream<number>({
    start: (controller) => controller.enqueue(1),
    cancel: () => void cancelled++,
  });
  for await (const n of pool.stream(input, (n) => n)) {
    assertEquals(n, 1);
    await turn(); // the next is pulled meanwhile
    break;
  }
  assertEquals([cancelled, input.locked], [1, false]);
  await pool.join();
});

Deno.test("a ReadableStream that errors ends a map with its error, and is unlocked", async () => {
  const pool = new TaskPool(2);
  const input = new ReadableStream<number>({ pull: () => Promise.reject(REASON) });
  assertStrictEquals(await assertRejects(() => pool.map(input, (n) => n)), REASON);
  assertEquals(input.locked, false);
});

Deno.test("a stalled iterator is closed on break", async () => {
  const pool = new TaskPool(2);
  let [pulled, closed] = [0, 0];
  const input: AsyncIterableIterator<number> = {
    next: () => pulled++ === 0 ? Promise.resolve({ done: false, value: 1 }) : new Promise(() => {}),
    return: () => (closed++, Promise.resolve({ done: true, value: undefined })),
    [Symbol.asyncIterator]: () => input,
  };
  for await (const _ of pool.stream(input, (n) => n)) {
    await turn();
    break;
  }
  assertEquals([pulled, closed], [2, 1]);
  await pool.join();
});

Deno.test("a native promise with an overridden then() costs no slot, and its task gets its value", async () => {
  const pool = new TaskPool(1);
  const odd = (then: unknown) => Object.assign(Promise.resolve("own"), { then });
  const handles = [
    pool.submit(() => odd(() => {})), // never calls back
    pool.submit(() => odd((done: (value: string) => void) => (done("first"), done("second")))),
    pool.submit(() =>
      odd(() => {
        throw REASON;
      })
    ),
    pool.submit(() => "next"),
  ];
  const results = await Promise.all(handles.map((each) => each.result));
  assertEquals(results as string[], ["own", "own", "own", "next"]);
  const thenless = Object.defineProperty(Promise.resolve("own"), "constructor", {
    get: () => {
      throw REASON;
    },
  });
  assertStrictEquals(await assertRejects(() => pool.run(() => thenless)), REASON);
  assertEquals(await pool.map([1], () => odd(() => {})) as unknown[], ["own"]);
  await pool.join();
  assertEquals([pool.stats.running, await pool.run(() => 7)], [0, 7]);
});

Deno.test("an iterator whose next() returns no object is refused, as by a `for` loop", async () => {
  const pool = new TaskPool(2);
  const inputs = [
    { [Symbol.iterator]: () => ({ next: () => 5 }) },
    { [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve(5) }) },
  ];
  for (const input of inputs) {
    await assertRejects(() => pool.map(input as never, () => 1), TypeError, "next()");
    const stream = pool.stream(input as never, () => 1);
    await assertRejects(() => stream.next(), TypeError, "next()");
  }
  await assertRejects(() => pool.map(Object.create(null), () => 1), TypeError, "'items'");
  await pool.join();
});

Deno.test("an endless synchronous input with a synchronous task does not starve timers, signals and sockets", async () => {
  const pool = new TaskPool(4);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [client, server] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  const abort = new AbortController();
  const numbers = new Numbers();
  const map = pool.map(numbers.sync(), (n) => n, { signal: abort.signal });
  await server.write(new Uint8Array(1));
  assertEquals(await client.read(new Uint8Array(8)), 1);
  await delay(1);
  abort.abort(REASON);
  assertStrictEquals(await assertRejects(() => map), REASON);
  assertEquals(numbers.closed, 1);
  for (const each of [client, server, listener]) each.close();
  const spin = () => {
    for (const end = performance.now() + 2; performance.now() < end;);
  };
  const slow = new Numbers();
  const timer = delay(20);
  const slowMap = pool.map(slow.sync(), spin);
  const timed = timer.then(() => pool.cancel(REASON));
  assertStrictEquals(await assertRejects(() => slowMap), REASON);
  await timed;
  assertLess(slow.pulled, 5_000);
});

Deno.test("an input may resize, pause and feed the pool that pulls it", async () => {
  const pool = new TaskPool(1);
  const inner: Promise<number>[] = [];
  function* input() {
    for (let n = 0; n < 6; n++) {
      if (n === 1) pool.size = 3;
      if (n === 2) inner.push(pool.run(() => 7));
      if (n === 3) {
        pool.pause();
        setTimeout(() => pool.resume(), 1);
      }
      if (n === 4) inner.push(...[pool.map([1], (m) => m).then(([m]) => m!)]);
      yield n;
    }
  }
  assertEquals(await pool.map(input(), (n) => n), [0, 1, 2, 3, 4, 5]);
  assertEquals(await Promise.all(inner), [7, 1]);
  await microtasks();
  assert(pool.isIdle);
});
