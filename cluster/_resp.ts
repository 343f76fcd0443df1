/** The part of a socket's lease that a command needs. */
export interface RespConn {
  writeAll(bytes: Uint8Array | string): Promise<void>;
  readUntil(delimiter: string): Promise<Uint8Array>;
  readExactly(count: number): Promise<Uint8Array>;
}

/** An error from Redis: the command failed, and the connection is not harmed. */
export class RespError extends Error {
  override name = "RespError";
}

/** A reply of Redis: text and integers, nil as null, errors as values. */
export type RespReply = string | number | null | RespError | RespReply[];

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const LONGEST_BULK = 16_777_216;

/** Sends a command and reads its reply, by RESP2. */
export async function roundTrip(
  conn: RespConn,
  command: readonly (string | number)[],
): Promise<RespReply> {
  await conn.writeAll(encode(command));
  return await readReply(conn);
}

/** A command as an array of strings, each with its count of bytes. */
export function encode(command: readonly (string | number)[]): string {
  // Mostly all is plain ASCII, for which nothing need be encoded to be counted.
  // deno-lint-ignore no-control-regex -- these are the characters of one byte
  const isPlain = /^[\x00-\x7f]*$/.test(command.join(""));
  let text = `*${command.length}\r\n`;
  for (const argument of command) {
    const string = `${argument}`;
    const count = isPlain ? string.length : encoder.encode(string).length;
    text += `$${count}\r\n${string}\r\n`;
  }
  return text;
}

/** Reads one reply, as RESP2 has them. */
export async function readReply(conn: RespConn): Promise<RespReply> {
  const line = decoder.decode((await conn.readUntil("\r\n")).subarray(0, -2));
  const rest = line.slice(1);
  switch (line[0]) {
    case "+":
      return rest;
    case "-":
      return new RespError(rest);
    case ":":
      return integer(rest);
    case "$":
      return rest === "-1" ? null : await readBulk(conn, length(rest));
    case "*":
      return rest === "-1" ? null : await readArray(conn, length(rest));
    default:
      throw new SyntaxError(`Cannot read a reply of Redis that begins so: ${line.slice(0, 40)}`);
  }
}

async function readBulk(conn: RespConn, count: number): Promise<string> {
  const bytes = await conn.readExactly(count + 2);
  if (bytes[count] !== 13 || bytes[count + 1] !== 10) {
    throw new SyntaxError(`Cannot read a string of Redis that is longer than its ${count} bytes`);
  }
  return decoder.decode(bytes.subarray(0, count));
}

async function readArray(conn: RespConn, count: number): Promise<RespReply[]> {
  const replies: RespReply[] = [];
  while (replies.length < count) replies.push(await readReply(conn));
  return replies;
}

function integer(text: string): number {
  if (/^[+-]?\d+$/.test(text)) return Number(text);
  throw new SyntaxError(`Cannot read an integer of Redis: ${text.slice(0, 40)}`);
}

function length(text: string): number {
  const count = integer(text);
  if (count >= 0 && count <= LONGEST_BULK) return count;
  throw new RangeError(`Cannot read ${text} bytes or replies of Redis at once`);
}
