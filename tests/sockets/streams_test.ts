import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { LeaseReleasedError, Pool, type SocketLease, tcp } from "../../mod.ts";
import { type Behaviour, closing, deaf, EchoServer, mute } from "../support/echo_server.ts";
import { bytesOf, roundTrip, textOf } from "../support/round_trip.ts";
import { sameTurn, until } from "../support/until.ts";

type Lease = SocketLease<Deno.NetAddr>;

/** Echoes a line through the streams or methods of a lease. */
type Exchange = (conn: Lease, line: string) => Promise<string>;

const exchanges: Record<string, Exchange> = {
  "for await and break": async (conn, line) => {
    await conn.writeAll(line);
    for await (const chunk of conn.readable) return textOf(chunk);
    return "";
  },
  "pipeThrough(new TextDecoderStream())": async (conn, line) => {
    await conn.writeAll(line);
    for await (const text of conn.readable.pipeThrough(new TextDecoderStream())) return text;
    return "";
  },
  "two transforms in a row": async (conn, line) => {
    await conn.writeAll(line);
    const halves = new TransformStream<string, string>({
      transform: (text, controller) => controller.enqueue(text),
    });
    const lines = conn.readable.pipeThrough(new TextDecoderStream()).pipeThrough(halves);
    for await (const text of lines) return text;
    return "";
  },
  "pipeTo() until a signal": async (conn, line) => {
    await conn.writeAll(line);
    const aborter = new AbortController();
    let received = "";
    const sink = new WritableStream<Uint8Array>({
      write(chunk) {
        received += textOf(chunk);
        aborter.abort();
      },
    });
    await conn.readable.pipeTo(sink, { signal: aborter.signal }).catch(() => {});
    return received;
  },
  "getReader() and cancel()": async (conn, line) => {
    const reader = conn.readable.getReader();
    await conn.writeAll(line);
    const { value } = await reader.read();
    await reader.cancel();
    return textOf(value!);
  },
  "getReader() and releaseLock()": async (conn, line) => {
    const reader = conn.readable.getReader();
    await conn.writeAll(line);
    const { value } = await reader.read();
    reader.releaseLock();
    return textOf(value!);
  },
  "a BYOB reader": async (conn, line) => {
    await conn.writeAll(line);
    const reader = conn.readable.getReader({ mode: "byob" });
    const { value } = await reader.read(new Uint8Array(64));
    await reader.cancel();
    return textOf(value!);
  },
  "a BYOB reader with a minimum": async (conn, line) => {
    await conn.writeAll(line);
    const reader = conn.readable.getReader({ mode: "byob" });
    const { length } = bytesOf(line);
    const { value } = await reader.read(new Uint8Array(length), { min: length });
    reader.releaseLock();
    return textOf(value!);
  },
  "a read that is given up before the request": async (conn, line) => {
    const reader = conn.readable.getReader();
    const read = reader.read();
    await reader.cancel();
    assertEquals((await read).done, true);
    return await roundTrip(conn, line);
  },
  "writer.close()": async (conn, line) => {
    const writer = conn.writable.getWriter();
    await writer.write(bytesOf(line));
    await writer.close();
    return textOf(await conn.readUntil("\n"));
  },
  "writer.abort()": async (conn, line) => {
    const writer = conn.writable.getWriter();
    await writer.write(bytesOf(line));
    await writer.abort("enough");
    return textOf(await conn.readUntil("\n"));
  },
  "writer.releaseLock()": async (conn, line) => {
    const writer = conn.writable.getWriter();
    await writer.write(bytesOf(line));
    writer.releaseLock();
    return textOf(await conn.readUntil("\n"));
  },
  "pipeTo(writable)": async (conn, line) => {
    await ReadableStream.from([bytesOf(line)]).pipeTo(conn.writable);
    return textOf(await conn.readUntil("\n"));
  },
  "an encoder piped to writable, and readable to a decoder": async (conn, line) => {
    const encoder = new TextEncoderStream();
    const piped = encoder.readable.pipeTo(conn.writable);
    const writer = encoder.writable.getWriter();
    await writer.write(line);
    await writer.close();
    await piped;
    for await (const text of conn.readable.pipeThrough(new TextDecoderStream())) return text;
    return "";
  },
};

for (const [name, exchange] of Object.entries(exchanges)) {
  Deno.test(`The streams of lease after lease share one socket: ${name}`, async () => {
    await using server = EchoServer.listen();
    await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
    for (let i = 0; i < 5; i++) {
      using conn = await pool.acquire();
      assertEquals(await exchange(conn, `line ${i}\n`), `line ${i}\n`);
      assertEquals(await roundTrip(conn, "after it"), "after it");
    }
    assertEquals([server.accepts, server.ends, pool.stats.idle], [1, 0, 1]);
  });

  Deno.test(`The streams of a lease leave its socket to a waiting caller: ${name}`, async () => {
    await using server = EchoServer.listen();
    await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
    const lines = Array.from({ length: 5 }, (_, i) => `line ${i}\n`);
    const replies = lines.map((line) => pool.use((conn) => exchange(conn, line)));
    assertEquals(await Promise.all(replies), lines);
    assertEquals([server.accepts, server.ends, pool.stats.idle], [1, 0, 1]);
  });
}

Deno.test("SocketLease.readable and writable are made once for each lease", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const first = await pool.acquire();
  const { readable, writable } = first;
  assertStrictEquals(first.readable, readable);
  assertStrictEquals(first.writable, writable);
  first.release();
  using second = await pool.acquire();
  assert(second.readable !== readable && second.writable !== writable);
});

Deno.test("SocketLease.readable carries a long reply whole", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  using conn = await pool.acquire();
  const sent = new Uint8Array(2_000_000).map((_, i) => i % 251);
  const writing = ReadableStream.from([sent]).pipeTo(conn.writable);
  let at = 0;
  for await (const chunk of conn.readable) {
    assert(chunk.every((byte, i) => byte === sent[at + i]), `the bytes differ after ${at}`);
    at += chunk.length;
    if (at === sent.length) break;
  }
  await writing;
  conn.release();
  assertEquals(pool.stats.idle, 1);
});

Deno.test("SocketLease.readable ends when the peer does, and the socket is not reused", async () => {
  await using server = EchoServer.listen(closing);
  await using pool = new Pool(tcp({ port: server.port }));
  for (const mode of [undefined, "byob"] as const) {
    using conn = await pool.acquire();
    await conn.writeAll("farewell");
    if (mode === undefined) {
      assertEquals((await Array.fromAsync(conn.readable, textOf)).join(""), "farewell");
    } else {
      const reader = conn.readable.getReader({ mode });
      assertEquals(textOf((await reader.read(new Uint8Array(64))).value!), "farewell");
      assertEquals((await reader.read(new Uint8Array(64))).done, true);
    }
    conn.release();
    assertEquals(pool.stats.size, 0);
  }
});

Deno.test("SocketLease.readable loses no byte that conn.read() has not taken", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  using conn = await pool.acquire();
  await conn.writeAll("head\nbody");
  assertEquals(textOf(await conn.readUntil("\n")), "head\n");
  let body = "";
  for await (const text of conn.readable.pipeThrough(new TextDecoderStream())) {
    body += text;
    if (body.length === 4) break;
  }
  assertEquals(body, "body");
});

Deno.test("Late bytes of SocketLease.readable go to the read after its cancel", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  using conn = await pool.acquire();
  const reader = conn.readable.getReader();
  const read = reader.read();
  await reader.cancel();
  await conn.writeAll("late");
  assertEquals(textOf(await conn.readExactly(4)), "late");
  assertEquals((await read).done, true);
});

Deno.test("SocketLease.readable takes no byte after its cancel, even if its read was next", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  using conn = await pool.acquire();
  const line = conn.readUntil("\n");
  const reader = conn.readable.getReader();
  const read = reader.read();
  await sameTurn();
  await reader.cancel();
  await conn.writeAll("line\nrest");
  assertEquals([textOf(await line), (await read).done], ["line\n", true]);
  assertEquals(textOf(await conn.readExactly(4)), "rest");
});

Deno.test("SocketLease.readable that is cancelled before its read had its turn does not cost the socket", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  const conn = await pool.acquire();
  const line = conn.readUntil("\n");
  const reader = conn.readable.getReader();
  const read = reader.read();
  await sameTurn();
  await reader.cancel();
  await conn.writeAll("line\n");
  assertEquals([textOf(await line), (await read).done], ["line\n", true]);
  conn.release();
  using next = await pool.acquire();
  assertEquals([next.reused, await roundTrip(next, "mine")], [true, "mine"]);
});

Deno.test("a read that waits behind a stream when the lease ends costs the socket, though the stream is cancelled", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }));
  const conn = await pool.acquire();
  const reader = conn.readable.getReader();
  const read = reader.read();
  await sameTurn();
  const late = conn.read(new Uint8Array(8)).catch(() => null);
  reader.cancel();
  conn.release();
  assertEquals(pool.stats.retired.broken, 1);
  assertEquals([(await read).done, await late], [true, null]);
});

Deno.test("A stream of an ended lease rejects, also while another borrower holds the socket", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const old = await pool.acquire();
  const reader = old.readable.getReader();
  const writer = old.writable.getWriter();
  writer.closed.catch(() => {});
  old.release();
  using present = await pool.acquire();
  await assertRejects(() => reader.read(), LeaseReleasedError);
  await assertRejects(() => writer.write(bytesOf("stray")), LeaseReleasedError);
  assertEquals(await roundTrip(present, "mine"), "mine");
  assertEquals([server.accepts, server.peers[0]!.received], [1, 4]);
});

Deno.test("A stream of an ended lease cannot be used", async () => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const old = await pool.acquire();
  old.release();
  await assertRejects(async () => await old.readable.getReader().read(), LeaseReleasedError);
  await assertRejects(
    async () => await old.writable.getWriter().write(bytesOf("stray")),
    LeaseReleasedError,
  );
});

/** Leaves an operation in flight on a stream; returns how it ends. */
type Begin = (conn: Lease) => Promise<unknown>;

const unfinished: Record<string, [Behaviour, Begin]> = {
  "reader.read()": [mute, (conn) => conn.readable.getReader().read()],
  "a BYOB read": [
    mute,
    (conn) => conn.readable.getReader({ mode: "byob" }).read(new Uint8Array(8)),
  ],
  "a pipe": [mute, (conn) => conn.readable.pipeTo(new WritableStream())],
  "an iteration": [mute, (conn) => Array.fromAsync(conn.readable)],
  "writer.write()": [
    deaf,
    (conn) => conn.writable.getWriter().write(new Uint8Array(32 * 1024 * 1024)),
  ],
};

for (const [what, [behaviour, begin]] of Object.entries(unfinished)) {
  Deno.test(`A socket with ${what} in flight at the release is not lent again`, async () => {
    await using server = EchoServer.listen(behaviour);
    await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
    const conn = await pool.acquire();
    await conn.writeAll("first");
    await until(() => server.accepts === 1 && server.peers[0]!.received === 5);
    const outcome = begin(conn).then(() => "done", (error) => error);
    await sameTurn(); // a stream begins to read a few microtasks later
    conn.release();
    using next = await pool.acquire();
    assertEquals([next.reused, pool.stats.size], [false, 1]);
    assert(await outcome instanceof Error, "it must not look as if the peer had ended");
    await until(() => server.ends === 1 || behaviour === deaf);
  });

  Deno.test(`A socket with ${what} in flight at the release does not go to a waiting caller`, async () => {
    await using server = EchoServer.listen(behaviour);
    await using pool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
    const conn = await pool.acquire();
    await conn.writeAll("first");
    await until(() => server.accepts === 1 && server.peers[0]!.received === 5);
    const outcome = begin(conn).then(() => "done", (error) => error);
    await sameTurn(); // a stream begins to read a few microtasks later
    const waiter = pool.acquire();
    conn.release();
    using next = await waiter;
    assertEquals([next.reused, pool.stats.size], [false, 1]);
    assert(await outcome instanceof Error, "it must not look as if the peer had ended");
  });
}
