import { assertEquals, assertStrictEquals } from "@std/assert";
import { Socket, tcp } from "../../mod.ts";
import { EchoServer } from "../support/echo_server.ts";

Deno.test("Socket.read() takes a read of no bytes for no end, whatever the size of its target", async () => {
  await using server = EchoServer.listen();
  for (const size of [16, 1_024]) {
    const conn = await Deno.connect({ port: server.port });
    const read = conn.read.bind(conn);
    let reads = 0;
    conn.read = (target) => reads++ === 0 ? Promise.resolve(0) : read(target);
    using socket = new Socket(conn);
    await socket.writeAll("ping");
    const target = new Uint8Array(size);
    const first = await socket.read(target); // into a large one, Deno's own answer as it is
    assertEquals(first === 0 ? await socket.read(target) : first, 4, `into ${size} bytes`);
  }
});

Deno.test("the watch of a connection whose read throws tells of the error as of any other", async () => {
  await using server = EchoServer.listen();
  const conn = await Deno.connect({ port: server.port });
  const error = new Error("no promise");
  conn.read = () => {
    throw error;
  };
  using socket = new Socket(conn);
  const lost = await new Promise((lost) =>
    tcp({ port: server.port }).watch!(socket, { lost, wanted: true, prepare: () => {} })
  );
  assertStrictEquals(lost, error);
});
