import { assertEquals } from "@std/assert";
import { exploreSockets } from "../support/socket_walk.ts";

const drawn = Math.floor(Math.random() * 2 ** 31);

Deno.test("in random sequences of callers and server, each reply reaches its caller and no slot is lost", async () => {
  const { failure } = await exploreSockets(drawn, 600, { odd: true });
  assertEquals(failure, undefined, `with seed ${drawn}: ${failure}`);
});
