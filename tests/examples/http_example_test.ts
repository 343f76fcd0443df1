import { assert, assertEquals, assertRejects } from "@std/assert";
import { get } from "../../examples/_http.ts";
import { Pool, tcp } from "../../mod.ts";
import { type Behaviour, dribbling, EchoServer, replying } from "../support/echo_server.ts";

const ok = "HTTP/1.1 200 OK\r\n";

/** Two GETs over a pool; answers what the second brought and how many connections they took. */
async function getTwice(behaviour: Behaviour) {
  await using server = EchoServer.listen(behaviour);
  await using pool = new Pool(tcp({ port: server.port, ioTimeout: 2_000 }));
  const url = new URL(`http://127.0.0.1:${server.port}/`);
  await pool.use((conn) => get(conn, url));
  const response = await pool.use((conn) => get(conn, url));
  return { response, text: await response.text(), accepts: server.accepts };
}

/** Sends a text, and hangs up. */
function ending(text: string): Behaviour {
  return async (peer) => {
    await peer.write(text);
    peer.close();
  };
}

const persistent: Record<string, [answer: string, status: number, text: string]> = {
  "a counted body": [`${ok}Content-Length: 5\r\n\r\nhello`, 200, "hello"],
  "an empty body": [`${ok}Content-Length: 0\r\n\r\n`, 200, ""],
  "a chunked body": [
    `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n, world!!!\r\n0\r\n\r\n`,
    200,
    "hello, world!!!",
  ],
  "a chunked body with trailers": [
    `${ok}transfer-encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\nExpires: never\r\nX: y\r\n\r\n`,
    200,
    "x",
  ],
  "the chunks where both are said": [
    `${ok}Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`,
    200,
    "hi",
  ],
  "no body with 204": ["HTTP/1.1 204 No Content\r\n\r\n", 204, ""],
  "no body with 304, whatever it says": [
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    304,
    "",
  ],
  "a status without a reason": ["HTTP/1.1 404\r\nContent-Length: 2\r\n\r\nno", 404, "no"],
  "what comes after 100 and 103": [
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n` +
    `${ok}Content-Length: 1\r\n\r\nx`,
    200,
    "x",
  ],
  "an HTTP/1.0 response that keeps the connection": [
    "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx",
    200,
    "x",
  ],
};

for (const [what, [answer, status, text]] of Object.entries(persistent)) {
  Deno.test(`get() reads ${what}in any segmentation, and the connection is reused`, async () => {
    for (const behaviour of [replying(answer), dribbling(answer)]) {
      const seen = await getTwice(behaviour);
      assertEquals([seen.response.status, seen.text, seen.accepts], [status, text, 1]);
    }
  });
}

const last: Record<string, Behaviour> = {
  "that says close": replying(`${ok}Connection: x, Close\r\nContent-Length: 5\r\n\r\nhello`),
  "in HTTP/1.0": replying("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
  "as long as the connection": ending(`${ok}\r\nhello`),
};

for (const [what, behaviour] of Object.entries(last)) {
  Deno.test(`get() reads a response ${what}, and the connection is not reused`, async () => {
    const seen = await getTwice(behaviour);
    assertEquals([seen.text, seen.accepts], ["hello", 2]);
  });
}

Deno.test("get() asks for the path and query of the URL, and names its host", async () => {
  let request = "";
  await using server = EchoServer.listen(async (peer, bytes) => {
    request += new TextDecoder().decode(bytes);
    await peer.write("HTTP/1.1 204 No Content\r\n\r\n");
  });
  await using pool = new Pool(tcp({ port: server.port, ioTimeout: 2_000 }));
  const url = new URL(`http://localhost:${server.port}/a b\r\n?c=d#e`);
  await pool.use((conn) => get(conn, url));
  assertEquals(request, `GET /a%20b?c=d HTTP/1.1\r\nHost: localhost:${server.port}\r\n\r\n`);
});

Deno.test("get() gives the headers, trimmed, with those of one name together", async () => {
  const seen = await getTwice(
    replying(
      `${ok}X-One: \t a: b  \r\nx-two: 1\r\nX-Two: 2\r\nX-High: \xe9\r\nContent-Length:0\r\n\r\n`,
    ),
  );
  const { headers } = seen.response;
  assertEquals([headers.get("x-one"), headers.get("x-two")], ["a: b", "1, 2"]);
  assertEquals(headers.get("x-high"), "\xc3\xa9"); // as it came, in UTF-8, a character for each byte
});

const malformed: Record<string, string> = {
  "another protocol": "+PONG\r\n\r\n",
  "HTTP/2": "HTTP/2 200 OK\r\n\r\n",
  "a status of two digits": "HTTP/1.1 20 OK\r\n\r\n",
  "a header without a colon": `${ok}Content-Length\r\n\r\n`,
  "a header without a name": `${ok}: 5\r\n\r\n`,
  "a space before the colon": `${ok}Content-Length : 0\r\n\r\n`,
  "a folded header": `${ok}X: a\r\n b: c\r\nContent-Length: 0\r\n\r\n`,
  "a negative length": `${ok}Content-Length: -1\r\n\r\n`,
  "a length that is no number": `${ok}Content-Length: 0x5\r\n\r\nhello`,
  "two lengths": `${ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`,
  "a length beyond all reason": `${ok}Content-Length: 16777217\r\n\r\n`,
  "an unknown coding": `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
  "a chunk size that is no number": `${ok}Transfer-Encoding: chunked\r\n\r\nx\r\n\r\n`,
  "a chunk longer than it says": `${ok}Transfer-Encoding: chunked\r\n\r\n1\r\nxyz0\r\n\r\n`,
  "a chunk size with more behind it":
    `${ok}Transfer-Encoding: chunked\r\n\r\n1 x\r\nx\r\n0\r\n\r\n`,
  "chunks beyond all reason": `${ok}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n1000000\r\n`,
  "a head without end": `${ok}X: ${"x".repeat(20_000)}`,
};

for (const [what, answer] of Object.entries(malformed)) {
  Deno.test(`get() refuses ${what}, and the connection is closed`, async () => {
    await using server = EchoServer.listen(replying(answer));
    await using pool = new Pool(tcp({ port: server.port, ioTimeout: 2_000 }));
    const url = new URL(`http://127.0.0.1:${server.port}/`);
    const error = await assertRejects(() => pool.use((conn) => get(conn, url)), Error);
    assert(!(error instanceof Deno.errors.TimedOut), `${error}`);
    assertEquals(pool.stats.size, 0);
  });
}

const truncated: Record<string, string> = {
  "in the head": `${ok}Content-Le`,
  "in a counted body": `${ok}Content-Length: 5\r\n\r\nhell`,
  "in a chunk": `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhell`,
  "between chunks": `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`,
};

for (const [where, answer] of Object.entries(truncated)) {
  Deno.test(`get() rejects when the server hangs up ${where}`, async () => {
    await using server = EchoServer.listen(ending(answer));
    await using pool = new Pool(tcp({ port: server.port, ioTimeout: 2_000 }));
    const url = new URL(`http://127.0.0.1:${server.port}/`);
    await assertRejects(
      () => pool.use((conn) => get(conn, url)),
      Deno.errors.UnexpectedEof,
    );
  });
}
