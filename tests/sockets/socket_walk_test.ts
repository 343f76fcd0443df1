import { assertEquals } from "@std/assert";
import { exploreSockets } from "../support/socket_walk.ts";

const drawn = Math.floor(Math.random() * 2 ** 31);

Deno.test("whatever callers and their server do at random, each reply is its caller's and no slot is lost", async () => {
  const { failure } = await exploreSockets(drawn, 600, { odd: true });
  assertEquals(failure, undefined, `with seed ${drawn}: ${failure}`);
});
