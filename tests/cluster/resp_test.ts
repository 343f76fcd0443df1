import { assertEquals, assertRejects } from "@std/assert";
import { encode, readReply, RespError } from "../../cluster/_resp.ts";
import { Socket } from "../../connectors/socket.ts";

/** A socket that receives these bytes, a few at a time, then the end. */
async function receiving(text: string): Promise<Socket> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [here, there] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  const socket = new Socket(here);
  const bytes = new TextEncoder().encode(text);
  for (let i = 0; i < bytes.length; i += 3) await there.write(bytes.subarray(i, i + 3));
  there.close();
  return socket;
}

async function read(text: string): Promise<unknown> {
  using socket = await receiving(text);
  return await readReply(socket);
}

Deno.test("A command is an array of strings, each with its count of bytes", () => {
  assertEquals(encode(["GET", "k"]), "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
  assertEquals(encode(["SET", "café", 12]), "*3\r\n$3\r\nSET\r\n$5\r\ncafé\r\n$2\r\n12\r\n");
  assertEquals(encode([""]), "*1\r\n$0\r\n\r\n");
});

Deno.test("Replies are read in any segmentation", async () => {
  assertEquals(await read("+PONG\r\n"), "PONG");
  assertEquals(await read(":-42\r\n"), -42);
  assertEquals(await read("$5\r\ncaf\u00e9\r\n"), "caf\u00e9");
  assertEquals(await read("$2\r\n\r\n\r\n"), "\r\n");
  assertEquals(await read("$0\r\n\r\n"), "");
  assertEquals(await read("$-1\r\n"), null);
  assertEquals(await read("*-1\r\n"), null);
  assertEquals(await read("*3\r\n+a\r\n*1\r\n:1\r\n$-1\r\n"), ["a", [1], null]);
  const error = await read("-NOSCRIPT No matching script\r\n");
  assertEquals(String(error), "RespError: NOSCRIPT No matching script");
  assertEquals(error instanceof RespError, true);
});

Deno.test("An invalid reply is refused", async () => {
  await assertRejects(() => read("HTTP/1.1 400 Bad Request\r\n"), SyntaxError, "HTTP/1.1");
  await assertRejects(() => read(":4x\r\n"), SyntaxError, "integer");
  await assertRejects(() => read("$3\r\nfoobar\r\n"), SyntaxError, "longer than its 3 bytes");
  await assertRejects(() => read("$99999999\r\n"), RangeError, "99999999");
  await assertRejects(() => read("$-2\r\n"), RangeError, "-2");
  await assertRejects(() => read("$5\r\nab"), Deno.errors.UnexpectedEof);
});
