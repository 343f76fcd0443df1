import { assertEquals, assertStrictEquals } from "@std/assert";
import { ignoreResult, invoke, isPromiseLike } from "../../internal/promise_like.ts";
import { microtasks } from "../support/scene.ts";

const ERROR = new Error("no");

function thenable(then: (resolve: (value: unknown) => void, reject: (e: unknown) => void) => void) {
  return { then } as unknown as PromiseLike<unknown>;
}

Deno.test("isPromiseLike is true of values with a then() method only", () => {
  const callable = Object.assign(() => {}, { then() {} });
  for (const value of [Promise.resolve(), thenable(() => {}), callable]) {
    assertEquals(isPromiseLike(value), true);
  }
  for (const value of [undefined, null, 0, "then", {}, { then: 1 }, () => {}]) {
    assertEquals(isPromiseLike(value), false);
  }
});

Deno.test("invoke passes on a value at once, and the outcome of a promise when it settles", async () => {
  const got: unknown[] = [];
  const told = (call: () => unknown) =>
    invoke(call, (value) => got.push(["value", value]), (error) => got.push(["error", error]));
  told(() => 1);
  told(() => {
    throw ERROR;
  });
  assertEquals(got, [["value", 1], ["error", ERROR]]);
  got.length = 0;
  told(() => Promise.resolve(2));
  told(() => Promise.reject(ERROR));
  assertEquals(got, [], "not in the same turn");
  await microtasks();
  assertEquals(got, [["value", 2], ["error", ERROR]]);
});

Deno.test("invoke uses only the first answer of a thenable", async () => {
  const outcomes: Record<
    string,
    (resolve: (v: unknown) => void, reject: (e: unknown) => void) => void
  > = {
    "value 1": (resolve, reject) => {
      resolve(1);
      resolve(2);
      reject(ERROR);
    },
    "error Error: no": (resolve, reject) => {
      reject(ERROR);
      resolve(1);
      throw new Error("later");
    },
    "value 3": (resolve) => {
      resolve(3);
      throw ERROR;
    },
  };
  for (const [expected, then] of Object.entries(outcomes)) {
    const got: string[] = [];
    const onError = (error: unknown) => got.push(`error ${error}`);
    invoke(() => thenable(then), (value) => got.push(`value ${value}`), onError);
    await microtasks();
    assertEquals(got, [expected]);
  }
  const got: unknown[] = [];
  const hostile = {
    get then() {
      throw ERROR;
    },
  };
  invoke(() => hostile, () => got.push("value"), (error) => got.push(error));
  await microtasks();
  assertStrictEquals(got[0], ERROR);
  assertEquals(got.length, 1);
});

Deno.test("ignoreResult reports only the rejection of a promise", async () => {
  const got: unknown[] = [];
  for (const value of [1, undefined, Promise.resolve(2), Promise.reject(ERROR)]) {
    ignoreResult(value, (error) => got.push(error));
  }
  await microtasks();
  assertEquals(got, [ERROR]);
});
