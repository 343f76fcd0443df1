const WIDTH = 24;
const INTERVAL = 100;

/**
 * A line on the terminal with the progress of long work and its remaining time, if stderr
 * is a terminal.
 */
export class ProgressLine {
  readonly #began = performance.now();
  readonly #isShown = Deno.stderr.isTerminal();
  #drawn = -Infinity;

  /** Shows the finished share. */
  update(share: number, text: string): void {
    const now = performance.now();
    if (!this.#isShown || now - this.#drawn < INTERVAL) return;
    this.#drawn = now;
    write(`${progressText(share, now - this.#began)}  ${text}`);
  }

  /** Removes the line, for other output. */
  clear(): void {
    if (this.#isShown && this.#drawn > -Infinity) write("");
    this.#drawn = -Infinity;
  }
}

/** A bar, the percentage, and the remaining time at the present speed. */
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
