/** An infinite input of numbers that counts its pulls and whether it was closed. */
export class Numbers {
  pulled = 0;
  closed = 0;

  *sync() {
    try {
      while (true) yield this.pulled++;
    } finally {
      this.closed++;
    }
  }

  async *async() {
    try {
      while (true) {
        await null;
        yield this.pulled++;
      }
    } finally {
      this.closed++;
    }
  }
}

/** An input that gives one item and then stalls. */
export function stalled() {
  let closed = 0;
  const items: AsyncIterableIterator<number> = {
    next: () => closed++ === 0 ? Promise.resolve({ done: false, value: 0 }) : new Promise(() => {}),
    return: () => Promise.resolve({ done: true, value: undefined }),
    [Symbol.asyncIterator]: () => items,
  };
  return items;
}
