const WIDTH = 24;
const INTERVAL = 100;
/** How far apart lines are that are not drawn over. */
const LINE_INTERVAL = 15_000;

/**
 * Says how far long work has come, and how long it will take: on a terminal in
 * a line that is drawn over, elsewhere in a plain line now and then.
 */
export class ProgressLine {
  readonly #began: number;
  readonly #isTerminal = Deno.stderr.isTerminal();
  #drawn: number;

  /** The work began at this date. */
  constructor(began: number) {
    this.#began = began;
    this.#drawn = this.#isTerminal ? -Infinity : Date.now();
  }

  /** Shows the finished share. */
  update(share: number, text: string): void {
    const now = Date.now();
    if (now - this.#drawn < (this.#isTerminal ? INTERVAL : LINE_INTERVAL)) return;
    this.#drawn = now;
    const line = `${progressText(share, now - this.#began)}  ${text}`;
    write(this.#isTerminal ? `\r\x1b[K${line}` : `${line}\n`);
  }

  /** Removes the line, for other output. */
  clear(): void {
    if (this.#isTerminal) write("\r\x1b[K");
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

function write(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
