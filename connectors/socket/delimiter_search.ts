/**
 * Searches for a delimiter in bytes that come in pieces, looking at each byte once (Knuth,
 * Morris and Pratt): the time does not grow with the delimiter's length.
 */
export class DelimiterSearch {
  readonly #delimiter: Uint8Array;
  readonly #fallbacks: Uint32Array;
  /** The number of bytes searched so far. */
  #position = 0;
  /** How many bytes of the delimiter they end with. */
  #matched = 0;

  constructor(delimiter: Uint8Array) {
    this.#delimiter = delimiter;
    this.#fallbacks = fallbacksOf(delimiter);
  }

  /** Where the delimiter ends within `limit` bytes, or 0 if it has not come. `bytes` begins with the bytes of earlier calls. */
  endIn(bytes: Uint8Array, limit: number): number {
    const delimiter = this.#delimiter;
    const fallbacks = this.#fallbacks;
    const end = Math.min(bytes.length, limit);
    let matched = this.#matched;
    let at = this.#position;
    if (matched === 0) at = firstIn(bytes, delimiter[0]!, at, end);
    while (at < end) {
      const byte = bytes[at++]!;
      while (matched > 0 && delimiter[matched] !== byte) matched = fallbacks[matched - 1]!;
      if (delimiter[matched] === byte && ++matched === delimiter.length) return at;
    }
    this.#matched = matched;
    this.#position = end;
    return 0;
  }
}

/** The first index of a byte, by the platform's own search. */
function firstIn(bytes: Uint8Array, byte: number, from: number, end: number): number {
  const at = bytes.indexOf(byte, from);
  return at < 0 ? end : at;
}

/** How much of the delimiter still matches where a longer match fails. */
function fallbacksOf(delimiter: Uint8Array): Uint32Array {
  const fallbacks = new Uint32Array(delimiter.length);
  for (let at = 1, matched = 0; at < delimiter.length; at++) {
    while (matched > 0 && delimiter[matched] !== delimiter[at]) matched = fallbacks[matched - 1]!;
    if (delimiter[matched] === delimiter[at]) matched++;
    fallbacks[at] = matched;
  }
  return fallbacks;
}
