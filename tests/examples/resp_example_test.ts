import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { type Command, Redis, RedisError, type Reply } from "../../examples/_resp.ts";
import { Pool, tcp } from "../../mod.ts";
import { type Behaviour, dribbling, EchoServer, replying } from "../support/echo_server.ts";

/** A reply that can be compared: an error as it was sent, without its stack. */
function plain(reply: Reply | undefined): unknown {
  if (Array.isArray(reply)) return reply.map(plain);
  return reply instanceof RedisError ? `-${reply.message}` : reply;
}

/** Two calls to a server; answers the second's reply and how many connections they took. */
async function callTwice(behaviour: Behaviour): Promise<[reply: unknown, accepts: number]> {
  await using server = EchoServer.listen(behaviour);
  await using pool = new Pool(tcp({ port: server.port, ioTimeout: 2_000 }));
  const redis = new Redis(pool);
  await redis.pipeline([["PING"]]);
  const [reply] = await redis.pipeline([["PING"]]);
  return [plain(reply), server.accepts];
}

const replies: Record<string, [sent: string, read: unknown]> = {
  "a simple string": ["+PONG\r\n", "PONG"],
  "an empty simple string": ["+\r\n", ""],
  "an error": ["-ERR no\r\n", "-ERR no"],
  "an integer": [":-42\r\n", -42],
  "an integer beyond what a number holds": [":9223372036854775807\r\n", 9223372036854775807n],
  "a bulk string": ["$5\r\nhello\r\n", "hello"],
  "a bulk string with line ends in it": ["$6\r\n\r\na\r\nb\r\n", "\r\na\r\nb"],
  "a bulk string whose bytes are more than its characters": ["$6\r\n\u00e9\u{1f980}\r\n", "é🦀"],
  "a byte order mark as what it is": ["$4\r\n\ufeffx\r\n", "\ufeffx"],
  "an empty bulk string": ["$0\r\n\r\n", ""],
  "nil": ["$-1\r\n", null],
  "a nil array": ["*-1\r\n", null],
  "an empty array": ["*0\r\n", []],
  "an array of all kinds, arrays too": [
    "*6\r\n$1\r\na\r\n$-1\r\n:7\r\n*2\r\n+x\r\n*0\r\n-ERR in here\r\n$0\r\n\r\n",
    ["a", null, 7, ["x", []], "-ERR in here", ""],
  ],
};

for (const [what, [sent, read]] of Object.entries(replies)) {
  Deno.test(`Redis reads ${what}in any segmentation, and the connection is reused`, async () => {
    for (const behaviour of [replying(sent), dribbling(sent)]) {
      assertEquals(await callTwice(behaviour), [read, 1]);
    }
  });
}

Deno.test("Redis sends commands as arrays of counted strings, all at once", async () => {
  let sent = "";
  await using server = EchoServer.listen(async (peer, bytes) => {
    sent += new TextDecoder().decode(bytes);
    await peer.write("+OK\r\n+OK\r\n");
  });
  await using pool = new Pool(tcp({ port: server.port, ioTimeout: 2_000 }));
  const commands: Command[] = [["SET", "clé", 12], ["ECHO", "A\r\n", ""]];
  await new Redis(pool).pipeline(commands);
  assertEquals(
    sent,
    "*3\r\n$3\r\nSET\r\n$4\r\nclé\r\n$2\r\n12\r\n" +
      "*3\r\n$4\r\nECHO\r\n$3\r\nA\r\n\r\n$0\r\n\r\n",
  );
});

Deno.test("Redis.call() throws what Redis answers as an error, which costs no connection", async () => {
  await using server = EchoServer.listen(replying("-WRONGTYPE not a list\r\n"));
  await using pool = new Pool(tcp({ port: server.port, ioTimeout: 2_000 }));
  const redis = new Redis(pool);
  for (let i = 0; i < 3; i++) {
    await assertRejects(() => redis.call("LPOP", "x"), RedisError, "WRONGTYPE not a list");
  }
  assertEquals([server.accepts, pool.stats.idle], [1, 1]);
});

Deno.test("Redis.pipeline() gives each command its own reply, failed ones among them", async () => {
  await using server = EchoServer.listen(replying("+1\r\n-ERR 2\r\n:3\r\n"));
  await using pool = new Pool(tcp({ port: server.port, ioTimeout: 2_000 }));
  const [first, second, third] = await new Redis(pool).pipeline([["A"], ["B"], ["C"]]);
  assertEquals([first, third], ["1", 3]);
  assertInstanceOf(second, RedisError);
  assertEquals(await new Redis(pool).pipeline([]), []);
});

Deno.test("Redis.pipeline() does not lock up when both sides have more to say than buffers hold", async () => {
  const text = "x".repeat(200_000);
  const command = ["ECHO", text];
  const length = `*2\r\n$4\r\nECHO\r\n$${text.length}\r\n${text}\r\n`.length;
  let received = 0;
  await using server = EchoServer.listen(async (peer, bytes) => {
    // Does not read on before its reply has gone out.
    for (received += bytes.length; received >= length; received -= length) {
      await peer.write(`$${text.length}\r\n${text}\r\n`);
    }
  });
  await using pool = new Pool(tcp({ port: server.port, ioTimeout: 30_000 }));
  const replies = await new Redis(pool).pipeline(Array.from({ length: 100 }, () => command));
  assertEquals([replies.length, new Set(replies).size, server.accepts], [100, 1, 1]);
});

const malformed: Record<string, string> = {
  "a type it does not know": "%1\r\n",
  "an empty line": "\r\n",
  "an integer that is none": ":1.5\r\n",
  "a length that is none": "$x\r\nhello\r\n",
  "a negative length": "$-2\r\n",
  "a length beyond all reason": "$99999999999\r\n",
  "an array longer than all reason": "*99999999999\r\n",
  "a bulk string longer than it says": "$4\r\nhello\r\n",
};

for (const [what, sent] of Object.entries(malformed)) {
  Deno.test(`Redis refuses ${what}, and the connection is closed`, async () => {
    await using server = EchoServer.listen(replying(sent));
    await using pool = new Pool(tcp({ port: server.port, ioTimeout: 2_000 }));
    await assertRejects(() => new Redis(pool).call("PING"), Deno.errors.InvalidData);
    assertEquals(pool.stats.size, 0);
  });
}

Deno.test("Redis rejects when the server hangs up in a reply", async () => {
  for (const part of ["+PO", "$5\r\nhel", "*2\r\n:1\r\n"]) {
    await using server = EchoServer.listen(async (peer) => {
      await peer.write(part);
      peer.close();
    });
    await using pool = new Pool(tcp({ port: server.port, ioTimeout: 2_000 }));
    await assertRejects(() => new Redis(pool).call("PING"), Deno.errors.UnexpectedEof);
    assertEquals(pool.stats.size, 0);
  }
});
