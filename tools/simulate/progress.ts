const INTERVAL = 200;
/** Without a terminal. */
const QUIET_INTERVAL = 5_000;

/** Shows on stderr the finished share and the remaining time. */
export class Progress {
  readonly #runs: number;
  readonly #isTerminal = Deno.stderr.isTerminal();
  readonly #start = performance.now();
  #shown = this.#start;
  #width = 0;

  constructor(runs: number) {
    this.#runs = runs;
  }

  /** Reports the finished share of the run with this number, from 0. */
  show(run: number, done: number): void {
    const now = performance.now();
    if (now - this.#shown < (this.#isTerminal ? INTERVAL : QUIET_INTERVAL)) return;
    this.#shown = now;
    const share = (run + done) / this.#runs;
    const left = Math.ceil((now - this.#start) * (1 - share) / share / 1_000);
    const text = `run ${run + 1} of ${this.#runs}, ${Math.floor(100 * share)} %, ${left} s left`;
    this.#write(this.#isTerminal ? `\r${text.padEnd(this.#width)}` : `${text}\n`);
    this.#width = text.length;
  }

  end(): void {
    if (this.#isTerminal && this.#width > 0) this.#write(`\r${"".padEnd(this.#width)}\r`);
  }

  #write(text: string): void {
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  }
}
