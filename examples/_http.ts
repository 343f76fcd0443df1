/**
 * As much of HTTP/1.1 as it takes to send a GET over a connection and to know
 * where its response ends: a head, and a body that is counted, chunked, or as
 * long as the connection. Used by `http_server.ts` and `https_server.ts`.
 */

import type { SocketConn } from "../mod.ts";

const HEAD_LIMIT = 16_384;
const BODY_LIMIT = 16_777_216;

// Responses with these statuses have no body, whatever their head says.
const BODILESS = [204, 205, 304];

interface Head {
  status: number;
  statusText: string;
  headers: Headers;
  /** Whether the server keeps the connection open after the response. */
  isPersistent: boolean;
}

/**
 * Sends a GET and reads the whole response, since unread bytes would make the socket
 * unusable for the next borrower. After a throw the rest is unread, so call this inside
 * `pool.use()`, which closes the socket then.
 */
export async function get(conn: SocketConn, url: URL): Promise<Response> {
  await conn.writeAll(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`);
  let head = await readHead(conn);
  while (head.status < 200) head = await readHead(conn); // "100 Continue" and the like
  const body = BODILESS.includes(head.status) ? null : await readBody(conn, head);
  if (!head.isPersistent) conn.close();
  return new Response(body, head);
}

async function readHead(conn: SocketConn): Promise<Head> {
  const bytes = await conn.readUntil("\r\n\r\n", { limit: HEAD_LIMIT });
  // One character per byte, as Headers require.
  const [statusLine = "", ...lines] = String.fromCharCode(...bytes.subarray(0, -4)).split("\r\n");
  const [, minor, status, statusText = ""] =
    statusLine.match(/^HTTP\/1\.(\d) ([1-5]\d\d)(?: (.*))?$/) ??
      malformed("status line", statusLine);
  const headers = new Headers(lines.map(parseField));
  const connection = tokens(headers.get("connection"));
  const isPersistent = minor === "0"
    ? connection.includes("keep-alive")
    : !connection.includes("close");
  return { status: Number(status), statusText, headers, isPersistent };
}

function parseField(line: string): [name: string, value: string] {
  const colon = line.indexOf(":");
  if (colon < 1) malformed("header", line);
  return [line.slice(0, colon), line.slice(colon + 1)]; // Headers trim the value and check both
}

async function readBody(conn: SocketConn, { headers }: Head): Promise<Uint8Array<ArrayBuffer>> {
  const codings = tokens(headers.get("transfer-encoding"));
  if (codings.length > 0) {
    if (codings.join() !== "chunked") malformed("transfer encoding", codings.join());
    return join(await Array.fromAsync(readChunks(conn)));
  }
  const length = headers.get("content-length");
  if (length === null) return join(await Array.fromAsync(readToEnd(conn)));
  return await conn.readExactly(
    /^\d+$/.test(length) ? bounded(Number(length)) : malformed("length", length),
  );
}

async function* readChunks(conn: SocketConn): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (let total = 0;;) {
    const line = await readLine(conn);
    const [, size = ""] = line.match(/^([\da-f]+)\s*(?:;|$)/i) ?? malformed("chunk size", line);
    const length = parseInt(size, 16);
    if (length === 0) break;
    total = bounded(total + length);
    yield await conn.readExactly(length);
    if (await readLine(conn) !== "") malformed("chunk", "longer than it said");
  }
  while (await readLine(conn) !== ""); // trailers
}

async function* readToEnd(conn: SocketConn): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let total = 0;
  for await (const chunk of conn.readable) {
    total = bounded(total + chunk.length);
    yield chunk;
  }
}

async function readLine(conn: SocketConn): Promise<string> {
  const bytes = await conn.readUntil("\r\n", { limit: HEAD_LIMIT });
  return new TextDecoder().decode(bytes.subarray(0, -2));
}

function tokens(value: string | null): string[] {
  return (value ?? "").toLowerCase().split(",").map((token) => token.trim()).filter(Boolean);
}

function join(chunks: Uint8Array<ArrayBuffer>[]): Promise<Uint8Array<ArrayBuffer>> {
  return new Blob(chunks).bytes();
}

function bounded(length: number): number {
  if (length <= BODY_LIMIT) return length;
  throw new RangeError(`Cannot read a body of ${length} bytes: at most ${BODY_LIMIT} are taken`);
}

function malformed(what: string, text: string): never {
  throw new Deno.errors.InvalidData(
    `Cannot read the response as its ${what} is malformed: ${text}`,
  );
}
