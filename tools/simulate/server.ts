import type { ConnectContext, Connector } from "../../pool/mod.ts";
import type { Distribution } from "./distribution.ts";
import type { Random } from "./random.ts";

/** The behaviour of dials. */
export interface DialOptions {
  /** The duration of a dial. */
  readonly dial: Distribution;
  /** The share of dials that fail. */
  readonly failing: number;
}

/** The pooled resource: a connection to the simulated server. */
export class Connection {
  /** Whether the server went down while it was open. */
  lost = false;

  constructor(readonly retire: ConnectContext["retire"]) {}
}

/** The peer of the connections: it can be down, and dials take time. */
export class Server implements Connector<Connection> {
  readonly place = "simulated";
  readonly #options: DialOptions;
  readonly #random: Random;
  readonly #open = new Set<Connection>();
  #isDown = false;

  constructor(options: DialOptions, random: Random) {
    this.#options = options;
    this.#random = random;
  }

  async connect({ signal, retire }: ConnectContext): Promise<Connection> {
    const { dial, failing } = this.#options;
    await delay(dial(this.#random), signal);
    if (this.#random() < failing) throw new Error("The simulated dial failed");
    if (this.#isDown) throw new Error("The simulated server is down");
    const connection = new Connection(retire);
    this.#open.add(connection);
    return connection;
  }

  close(connection: Connection): void {
    this.#open.delete(connection);
  }

  /** Loses all connections, and refuses dials. */
  goDown(): void {
    this.#isDown = true;
    for (const connection of [...this.#open]) {
      connection.lost = true;
      connection.retire("the server went down", { now: true });
    }
  }

  comeBack(): void {
    this.#isDown = false;
  }
}

function delay(time: number, signal: AbortSignal): Promise<void> | undefined {
  if (time === 0) return;
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, time);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
