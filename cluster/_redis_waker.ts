/** For how many seconds Redis blocks: what is cut silently is noticed that soon. */
const BLOCK_SECONDS = 5;

/** When the list of a session without a waker expires, in milliseconds. */
const POKE_TTL = 60_000;

/** After an abort, how long to wait for a blocked command that does not come back, in milliseconds. */
const LAST_WAIT = 1_000;

type Send = (command: string[]) => Promise<unknown>;

interface Sleeper {
  resolve(): void;
  reject(error: unknown): void;
}

/** Waits for all sessions of a process with one `BLPOP`, since a connection can run only one at a time. */
export class RedisWaker {
  readonly #send: Send;
  readonly #block: Send;
  readonly #sleepers = new Map<string, Sleeper>();
  /** The names that the present `BLPOP` waits for, and its end. */
  #blocked: { readonly names: ReadonlySet<string>; readonly ended: Promise<void> } | undefined;

  constructor(send: Send, block: Send) {
    this.#send = send;
    this.#block = block;
  }

  async wait(name: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve, reject) => {
      this.#sleepers.set(name, { resolve, reject });
      signal.addEventListener("abort", () => this.#take(name)?.resolve(), { once: true });
      if (this.#blocked === undefined) this.#begin();
      else if (!this.#blocked.names.has(name)) this.#poke();
    });
    if (signal.aborted) await this.#end();
  }

  /** After an abort: leaves nothing in flight if no other session waits. */
  async #end(): Promise<void> {
    if (this.#blocked === undefined || this.#sleepers.size > 0) return;
    const { ended } = this.#blocked;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<void>((resolve) => timer = setTimeout(resolve, LAST_WAIT));
    await Promise.race([Promise.all([this.#poke(), ended]), patience]);
    clearTimeout(timer);
  }

  #begin(): void {
    const names = new Set(this.#sleepers.keys());
    this.#blocked = { names, ended: this.#blockOnce([...names]) };
  }

  async #blockOnce(names: string[]): Promise<void> {
    try {
      const reply = await this.#block(["BLPOP", ...names, `${BLOCK_SECONDS}`]);
      const woken = Array.isArray(reply) ? `${reply[0]}` : undefined;
      // After a timeout all are woken, so that a list lost with its server costs no more than the timeout.
      for (const name of woken === undefined ? names : [woken]) this.#take(name)?.resolve();
    } catch (error) {
      for (const name of names) this.#take(name)?.reject(error);
    }
    this.#blocked = undefined;
    if (this.#sleepers.size > 0) this.#begin();
  }

  #take(name: string): Sleeper | undefined {
    const sleeper = this.#sleepers.get(name);
    this.#sleepers.delete(name);
    return sleeper;
  }

  /** Makes the present `BLPOP` return, because it waits for outdated names. */
  async #poke(): Promise<void> {
    const [name] = this.#blocked?.names ?? [];
    if (name === undefined) return;
    try {
      await this.#send(["RPUSH", name, "1"]);
      await this.#send(["PEXPIRE", name, `${POKE_TTL}`]);
    } catch {
      // Then the BLPOP fails too, or ends by its own timeout.
    }
  }
}
