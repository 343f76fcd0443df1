import { assertEquals, assertStrictEquals } from "@std/assert";
import { Socket, tcp } from "../../mod.ts";
import { EchoServer } from "../support/echo_server.ts";

Deno.test("Socket.read() does not take a read of 0 bytes for the end, whatever the size of its buffer", async () => {
  await using server = EchoServer.listen();
  for (const size of [16, 1_024]) {
    const conn = await Deno.connect({ port: server.port });
    const read = conn.read.bind(conn);
    let reads = 0;
    conn.read = (target) => reads++ === 0 ? Promise.resolve(0) : read(target);
    using socket = new Socket(conn);
    await socket.writeAll("ping");
    const target = new Uint8Array(size);
    const first = await socket.read(target); // into a large buffer, the result of Deno's read is passed on
    assertEquals(first === 0 ? await socket.read(target) : first, 4, `into ${size} bytes`);
  }
});

Deno.test("the watch reports the error of a connection whose read throws", async () => {
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
