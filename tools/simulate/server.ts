import type { ConnectContext, Connector, ConnectorContext } from "../../pool/mod.ts";
import type { Distribution } from "./distribution.ts";
import type { Random } from "./random.ts";

/** A span, in milliseconds. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** A value that holds within a span. */
export interface During extends Span {
  readonly value: number;
}

/** The value at this time: the last one whose span contains it. */
export function valueAt(values: readonly During[], now: number, otherwise: number): number {
  return values.findLast(({ from, to }) => from <= now && now < to)?.value ?? otherwise;
}

/** The behaviour of the server. */
export interface ServerOptions {
  /** The duration of a dial. */
  readonly dial: Distribution;
  /** The duration of a check, if connections are checked. */
  readonly check?: Distribution | undefined;
  /** The share of dials that fail. */
  readonly failing: readonly During[];
  /** How many times longer dials, checks and uses take. */
  readonly slow: readonly During[];
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
  readonly check?: (connection: Connection, context: ConnectorContext) => Promise<boolean>;
  readonly #options: ServerOptions;
  readonly #random: Random;
  readonly #now: () => number;
  readonly #open = new Set<Connection>();
  #isDown = false;

  constructor(options: ServerOptions, random: Random, now: () => number) {
    this.#options = options;
    this.#random = random;
    this.#now = now;
    const { check } = options;
    if (check === undefined) return;
    this.check = async (_, { signal }) => {
      await delay(this.slowness * check(random), signal);
      return true;
    };
  }

  /** How many times longer everything takes now. */
  get slowness(): number {
    return valueAt(this.#options.slow, this.#now(), 1);
  }

  async connect({ signal, retire }: ConnectContext): Promise<Connection> {
    const { dial, failing } = this.#options;
    await delay(this.slowness * dial(this.#random), signal);
    if (this.#random() < valueAt(failing, this.#now(), 0)) {
      throw new Error("The simulated dial failed");
    }
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
