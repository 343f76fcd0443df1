/**
 * Callers that use real sockets at random, with tagged requests to a server on another
 * thread. The laws: each reply reaches its caller, no slot is lost, and every call settles.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Pool, type Socket, type SocketLease, tcp } from "../../mod.ts";
import { EchoWorker } from "./echo_worker.ts";
import type { Exploration } from "./explore.ts";
import { until } from "./until.ts";

const MAX_SIZE = 4;
const CALLERS = 12;
/** How long a call may take, in milliseconds, in addition to stalls of the event loop. */
const LIMIT = 20_000;

type Lease = SocketLease<Deno.NetAddr>;
type SocketPool = Pool<Socket<Deno.NetAddr>, Lease>;

/** The optional kinds of steps. */
export interface SocketWalkOptions {
  /** The event loop is blocked now and then, for up to this many milliseconds. */
  readonly stall?: number;
  /** The date is set forward and back now and then. */
  readonly dates?: boolean;
  /** Bodies throw values that are no Error. */
  readonly odd?: boolean;
}

/** The actions of the server, and their frequencies. */
const DEEDS = ["echo", "echo", "echo", "slow", "extra", "hangUp", "drop"] as const;

/** Mulberry32, by Tommy Ettinger. */
function numbers(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** Thrown values that are hard to print. */
const ODD = [Symbol("odd"), Object.create(null), undefined, { toString: () => ({}) }];

class Walk {
  readonly #pool: SocketPool;
  /** Bytes that must not reach another borrower. */
  readonly #alone: SocketPool;
  #isStalling = false;
  readonly #below: (below: number) => number;
  readonly #options: SocketWalkOptions;
  readonly #date = Date.now;
  #dateOffset = 0;
  #left: number;
  #tag = 0;
  violation: string | undefined;

  constructor(
    [pool, alone]: readonly [SocketPool, SocketPool],
    seed: number,
    steps: number,
    options: SocketWalkOptions,
  ) {
    this.#pool = pool;
    this.#alone = alone;
    this.#below = numbers(seed);
    this.#left = steps;
    this.#options = options;
  }

  async run(): Promise<void> {
    const date = this.#date;
    Date.now = () => date.call(Date) + this.#dateOffset;
    try {
      await Promise.all(Array.from({ length: CALLERS }, () => this.#call()));
      await this.#checkEnd();
    } finally {
      Date.now = date;
    }
  }

  async #call(): Promise<void> {
    while (this.#left-- > 0 && this.violation === undefined) {
      if (this.#options.dates && this.#below(50) === 0) this.#setDate();
      const way = this.#below(10);
      if (way === 0) await this.#stall();
      else if (way === 1) await this.#abort();
      else if (way === 2) await this.#fail();
      else if (way === 3) await this.#tryAcquire();
      else await this.#ask();
    }
  }

  #violate(what: string): void {
    this.violation ??= what;
  }

  /** Makes one request, and ends the lease in one of several ways. Failures of the server are not counted as the pool's. */
  async #ask(): Promise<void> {
    let lease: Lease;
    try {
      lease = await this.#pool.acquire({ timeout: LIMIT });
    } catch (error) {
      return this.#violate(`a caller is not served: ${error}`);
    }
    await this.#use(lease);
  }

  async #use(lease: Lease): Promise<void> {
    const deed = DEEDS[this.#below(DEEDS.length)]!;
    const tag = `${++this.#tag}`;
    const way = this.#below(8);
    try {
      await lease.writeAll(`${tag} ${deed}\n`);
      // Leaves the rest of the reply unread. Bytes that come after the release cannot be known at the release.
      if (way === 0) return void await lease.read(new Uint8Array(1));
      const reply = new TextDecoder().decode(await lease.readUntil("\n"));
      if (reply !== `${tag}\n`) this.#violate(`${tag} gets ${JSON.stringify(reply)}`);
    } catch (error) {
      const isDead = error instanceof Deno.errors.UnexpectedEof ||
        error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset;
      if (!isDead) this.#violate(`a request fails with ${error}`);
    } finally {
      if (way === 1) lease.discard();
      else if (way === 2) lease.close();
      else lease.release();
    }
  }

  async #tryAcquire(): Promise<void> {
    const lease = this.#pool.tryAcquire();
    if (lease !== undefined) await this.#use(lease);
  }

  /** Makes a request, and aborts it at once or a little later. */
  async #abort(): Promise<void> {
    const controller = new AbortController();
    const { signal } = controller;
    const call = this.#pool.acquire({ signal, timeout: LIMIT }).then(
      (lease) => this.#use(lease),
      (error) => {
        if (error !== signal.reason) this.#violate(`an abort is answered with ${error}`);
      },
    );
    for (let hops = this.#below(20); hops > 0; hops--) await undefined;
    controller.abort(new Error("enough"));
    await call;
  }

  async #fail(): Promise<void> {
    const odd = this.#options.odd ? ODD[this.#below(ODD.length)] : new Error("failed");
    const told = await this.#pool.use(() => Promise.reject(odd), { timeout: LIMIT }).then(
      () => "nothing",
      (error) => error,
    );
    if (told !== odd) this.#violate("a body's error is not told as it is");
  }

  /** Bytes come for an idle socket during a stall: the next caller must not get them. */
  async #stall(): Promise<void> {
    const { stall = 0 } = this.#options;
    if (stall === 0 || this.#isStalling) return;
    this.#isStalling = true;
    try {
      await this.#alone.use((lease) => this.#exchange(lease, "late"), { timeout: LIMIT });
      const length = 8 + this.#below(stall); // the server takes 4 ms
      for (const start = performance.now(); performance.now() - start < length;);
      await this.#alone.use((lease) => this.#exchange(lease, "echo"), { timeout: LIMIT });
    } catch (error) {
      this.#violate(`after a stall: ${error}`);
    } finally {
      this.#isStalling = false;
    }
  }

  async #exchange(lease: Lease, deed: string): Promise<void> {
    const tag = `${++this.#tag}`;
    await lease.writeAll(`${tag} ${deed}\n`);
    const reply = new TextDecoder().decode(await lease.readUntil("\n"));
    if (reply !== `${tag}\n`) this.#violate(`${tag} gets ${JSON.stringify(reply)}`);
  }

  #setDate(): void {
    this.#dateOffset = [0, 60_000, -60_000, 3_600_000][this.#below(4)]!;
  }

  /** Every slot can be leased, and not one more. */
  async #checkEnd(): Promise<void> {
    if (this.violation !== undefined) return;
    await until(() => this.#pool.stats.size === this.#pool.stats.idle);
    const leases = await Promise.all(
      Array.from({ length: MAX_SIZE }, () => this.#pool.acquire({ timeout: LIMIT })),
    );
    assertEquals([this.#pool.stats.leased, this.#pool.stats.size], [MAX_SIZE, MAX_SIZE]);
    assertEquals(this.#pool.tryAcquire(), undefined);
    for (const lease of leases) lease.release();
  }
}

/** Walks `steps` steps over real sockets. The seed determines the steps; their outcomes depend on timing too. */
export async function exploreSockets(
  seed: number,
  steps: number,
  options: SocketWalkOptions = {},
): Promise<Exploration> {
  using server = await EchoWorker.start();
  const pool: SocketPool = new Pool(tcp({ port: server.port }), { maxSize: MAX_SIZE });
  await using alone: SocketPool = new Pool(tcp({ port: server.port }), { maxSize: 1 });
  const walk = new Walk([pool, alone], seed, steps, options);
  let failure: string | undefined;
  try {
    await walk.run();
    failure = walk.violation;
    await pool.close({ timeout: 1_000 });
    assert(pool.stats.size === 0, `left after close(): ${pool}`);
  } catch (error) {
    failure ??= String(error);
    await pool.close({ force: true });
  }
  return { runs: 1, steps, failure };
}
