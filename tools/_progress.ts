const WIDTH = 24;
const INTERVAL = 100;

/**
 * A line on the terminal that says how far long work has come, and how long it
 * will take. Where the errors do not go to a terminal there is none.
 */
export class ProgressLine {
  readonly #began = performance.now();
  readonly #isShown = Deno.stderr.isTerminal();
  #drawn = -Infinity;

  /** Shows that so large a share is done. */
  update(share: number, text: string): void {
    const now = performance.now();
    if (!this.#isShown || now - this.#drawn < INTERVAL) return;
    this.#drawn = now;
    write(`${progressText(share, now - this.#began)}  ${text}`);
  }

  /** Makes room for other lines. */
  clear(): void {
    if (this.#isShown && this.#drawn > -Infinity) write("");
    this.#drawn = -Infinity;
  }
}

/** A bar, the percentage, and the time that is left if it goes on like that. */
export function progressText(share: number, elapsed: number): string {
  const part = Math.min(1, Math.max(0, share));
  const full = Math.round(part * WIDTH);
  const bar = "█".repeat(full) + "░".repeat(WIDTH - full);
  const left = part === 0 ? "" : `  ${leftText(elapsed * (1 - part) / part)} left`;
  return `${bar} ${`${Math.floor(part * 100)}`.padStart(3)} %${left}`;
}

function leftText(time: number): string {
  const seconds = Math.ceil(time / 1_000);
  if (seconds < 60) return `${seconds} s`;
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Replaces the line. */
function write(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
}
