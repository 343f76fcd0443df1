import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { errorText, oneLine, shown, withoutPasswords } from "../../internal/text.ts";
import { Pool } from "../../mod.ts";
import { fc } from "../support/npm.ts";

// deno-lint-ignore no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

Deno.test("oneLine escapes characters that break a line or control a terminal, and leaves others unchanged", () => {
  assertEquals(oneLine("a\nb\tc\u001b[31m\u0085\u2028"), "a\\nb\\tc\\u001b[31m\\u0085\\u2028");
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const line = oneLine(text);
      assert(!CONTROL.test(line));
      if (!CONTROL.test(text)) assertEquals(line, text);
    }),
  );
});

Deno.test("any thrown or refused value can be shown", () => {
  const hostile = {
    toString() {
      throw new Error("not to be printed");
    },
    get constructor() {
      throw new Error("not to be looked into");
    },
  };
  assertEquals(errorText(new TypeError("a\nb")), "TypeError: a\\nb");
  assertEquals(errorText(Symbol("gone")), "Symbol(gone)");
  assertEquals(errorText(undefined), "undefined");
  assertEquals(errorText(hostile), "an error that can't be shown (object)");
  assertEquals(errorText(Object.create(null)), "an error that can't be shown (object)");
  assertEquals([shown(hostile), shown(Object.create(null)), shown(null)], [
    "object",
    "object",
    "null",
  ]);
  assertEquals([shown(new Date()), shown([]), shown(() => {})], ["Date", "Array", "a function"]);
  assertEquals([shown("a\nb"), shown(1n), shown(Symbol("s"))], ['"a\\nb"', "1", "Symbol(s)"]);
  class Odd {}
  Object.defineProperty(Odd, "name", { value: "a\nb" });
  assertEquals(shown(new Odd()), "a\\nb");
  assertEquals([shown("\u2028"), shown(Symbol("a\nb"))], ['"\\u2028"', "Symbol(a\\nb)"]);
  const anything = fc.oneof(fc.anything(), fc.string({ unit: "binary" }));
  fc.assert(fc.property(anything, (value) => {
    assert(!CONTROL.test(shown(value)) && !CONTROL.test(errorText(value)));
  }));
});

Deno.test("what is refused is shown short: a string of 40 characters whole, and no name of a class longer", () => {
  assertEquals(shown("x".repeat(40)), `"${"x".repeat(40)}"`);
  assertEquals(shown("x".repeat(41)), `"${"x".repeat(40)}"… (41 characters)`);
  class Long {}
  Object.defineProperty(Long, "name", { value: "x".repeat(1_000) });
  assertEquals(shown(new Long()), "x".repeat(40));
  assertEquals(shown(new (class {})()), "object");
});

Deno.test("withoutPasswords hides the password of every URL, with a user or without, and nothing else", () => {
  const text = "redis://:secret@a:1/x, http://ann:secret@b through ftp://bob@c, see http://d/e:f@g";
  assertEquals(
    withoutPasswords(text),
    "redis://:***@a:1/x, http://ann:***@b through ftp://bob@c, see http://d/e:f@g",
  );
});

Deno.test("an error shows only the beginning of a long string, since it may be a secret", () => {
  const order = "-----BEGIN PRIVATE KEY-----\n" + "secret".repeat(100);
  const error = assertThrows(() => new Pool(() => ({}), { order: order as "lifo" }), RangeError);
  assertStringIncludes(error.message, 'received "-----BEGIN PRIVATE KEY-----');
  assertStringIncludes(error.message, "… (628 characters)");
  assert(error.message.length < 150, error.message);
});
