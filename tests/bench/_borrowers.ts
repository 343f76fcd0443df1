/** One request to an echo server, and its reply. */
export type Exchange = (conn: Deno.Conn) => Promise<void>;

/** Creates an exchange of a message of `size` bytes. Each borrower has its own, with its own buffer. */
export function exchange(length: number): Exchange {
  const message = new Uint8Array(length).fill(46);
  const buffer = new Uint8Array(65_536);
  return async (conn) => {
    let sent = await conn.write(message);
    while (sent < length) sent += await conn.write(message.subarray(sent));
    for (let received = 0; received < length;) {
      const read = await conn.read(buffer);
      if (read === null) throw new Deno.errors.UnexpectedEof("The echo server hung up");
      received += read;
    }
  };
}

/** Runs all of them at once, each with `count` exchanges. */
export async function all(
  borrowers: readonly Exchange[],
  turns: number,
  turn: (exchange: Exchange, borrower: number) => Promise<void>,
): Promise<void> {
  await Promise.all(borrowers.map(async (exchange, borrower) => {
    for (let i = 0; i < turns; i++) await turn(exchange, borrower);
  }));
}
