const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The part of a lease that a round trip needs. */
interface Channel {
  writeAll(bytes: Uint8Array | string): Promise<void>;
  readExactly(count: number): Promise<Uint8Array>;
}

/** The bytes of a text. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** The text of some bytes. */
export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Sends a text and reads a reply of the same length. */
export async function roundTrip(conn: Channel, text: string): Promise<string> {
  await conn.writeAll(text);
  return textOf(await conn.readExactly(encoder.encode(text).length));
}
