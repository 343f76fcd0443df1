import { assert, assertStringIncludes, assertThrows } from "@std/assert";
import { Pool } from "../../mod.ts";

Deno.test("an error shows only the beginning of a long string, which may be a secret", () => {
  const order = "-----BEGIN PRIVATE KEY-----\n" + "secret".repeat(100);
  const error = assertThrows(() => new Pool(() => ({}), { order: order as "lifo" }), RangeError);
  assertStringIncludes(error.message, 'received "-----BEGIN PRIVATE KEY-----');
  assertStringIncludes(error.message, "… (628 characters)");
  assert(error.message.length < 150, error.message);
});
