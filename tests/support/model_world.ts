import { type CloseOptions, type Lease, Pool, type PoolOptions } from "../../pool/mod.ts";
import { Callers } from "./model_callers.ts";
import {
  type Call,
  type ConnectorEvents,
  ModelConnector,
  ModelError,
  type Script,
  type Thing,
} from "./model_connector.ts";
import type { Journal } from "./model_journal.ts";

export const CONNECT_TIMEOUT = 40;
export const CHECK_TIMEOUT = 30;
/** The greatest `maxSize` that a pool is resized to. */
export const MOST = 5;
export const RETRY = { minDelay: 4, maxDelay: 16 };
/** How long a close may take after its timeout: the pool's limit for forced closes. */
export const GRACE = 100;

/** The configuration of a run. */
export interface Config {
  readonly pool: Readonly<PoolOptions> & { maxSize: number };
  readonly attempts: number;
  readonly script: Script;
  /** The optional methods of the connector. */
  readonly has: readonly ("check" | "reset" | "watch" | "probe" | "admit" | "init")[];
  /** Whether the pool has hooks for leases. */
  readonly hears: boolean;
  readonly seed: number;
}

/** The state of the server, as far as the pool can know. */
class Weather {
  /** Whether a dial has failed since the last success. */
  down = false;
  /** Whether that failure was final. */
  final = false;
  since = -Infinity;
  lastFailure = -Infinity;
  /** When an unused resource was last closed. */
  lastWaste = -Infinity;
}

/** A lease. */
interface Lend {
  readonly lease: Lease<Thing>;
  readonly thing: Thing;
  readonly seq: number;
  seen: boolean;
}

/** A running body of `use`. */
export interface Body {
  readonly lease: Lease<Thing>;
  end(): void;
  fail(error: unknown): void;
}

/** A pool over the model's connector, and the state of both as seen from outside. */
export class World implements ConnectorEvents {
  readonly journal: Journal;
  readonly config: Config;
  readonly connector: ModelConnector;
  readonly pool: Pool<Thing>;
  readonly callers: Callers;
  readonly weather = new Weather();
  /** Leases that have not ended. */
  held: Lend[] = [];
  readonly ended: Lease<Thing>[] = [];
  readonly bodies: Body[] = [];
  readonly controllers: AbortController[];
  /** Pending calls of `warm` and `recycle`. */
  warmings = 0;
  recyclings = 0;
  isPaused = false;
  /** The options that may change during a run. */
  readonly limits: { minIdle: number; maxWaiting: number; maxConnecting: number };
  /** Whether `minIdle` has kept a resource beyond its idleTimeout. */
  hasKept = false;
  /** Permits of detached resources. */
  taken = 0;
  lendCount = 0;
  closeCount = 0;
  /** The deadline of a pending close. */
  closeBy: number | undefined;
  closeState: "open" | "draining" | "closing" | "closed" = "open";
  /** From when on leased resources may be closed, by the pool's clock. */
  forceFrom = Infinity;

  constructor(config: Config, journal: Journal) {
    this.config = config;
    this.journal = journal;
    const { minIdle = 0, maxWaiting = Infinity, maxConnecting = Infinity } = config.pool;
    this.limits = { minIdle, maxWaiting, maxConnecting };
    this.hasKept = minIdle > 0;
    this.controllers = [newController(journal), newController(journal)];
    this.callers = new Callers(journal, this);
    this.connector = new ModelConnector(journal, config.script, config.has, this);
    this.pool = new Pool(this.connector, {
      connectTimeout: CONNECT_TIMEOUT,
      checkTimeout: CHECK_TIMEOUT,
      retry: { attempts: config.attempts, ...RETRY },
      clock: { now: () => journal.time.now, wall: journal.time.clock },
      hooks: {
        onConnect: () => this.#dialled(),
        ...(config.hears && {
          onAcquire: () => journal.meddle(),
          onRelease: () => journal.meddle(),
        }),
        onRetire: ({ reason, resource }) => this.#retired(reason, resource as Thing),
        onError: ({ error, source }) => this.#failed(error, source),
      },
      ...config.pool,
    });
  }

  get now(): number {
    return this.journal.time.now;
  }

  get isOpen(): boolean {
    return this.closeState === "open";
  }

  /** Whether the pool may refuse to dial because the server is down. */
  get isPatient(): boolean {
    return this.config.attempts > 1 && this.weather.down && !this.weather.final;
  }

  // Calls of the connector

  dialBegins(call: Call): void {
    const { journal, weather } = this;
    if (this.pool === undefined) return; // minIdle, in the constructor
    const isServing = this.isOpen || this.closeState === "draining";
    const hasLeave = journal.meddled && this.connector.admit !== undefined; // admit() itself has closed the pool
    if (!isServing && !hasLeave) journal.violate("a dial begins after close()");
    const { size, maxSize, connecting } = this.pool.stats;
    // A dial decided before a resize, from within or during its admission, still begins.
    const wasDecided = journal.meddled || this.connector.admit !== undefined;
    if (size > maxSize && !wasDecided) {
      journal.violate(`a dial begins, and makes ${size} of ${maxSize}`);
    }
    if (connecting > this.limits.maxConnecting && !wasDecided) {
      journal.violate(`${connecting} dials at once`);
    }
    // A dial that waited for admission began earlier, perhaps before the server went down.
    if (!this.isPatient || this.connector.admit !== undefined) return;
    const probes = this.connector.calls.filter((each) => each.isProbe && !each.signal!.aborted);
    if (probes.length > 0) journal.violate("a second probe begins");
    if (this.now < weather.since + RETRY.minDelay / 2) journal.violate("a probe comes too soon");
    call.isProbe = true;
  }

  lends(thing: Thing, lease: Lease<Thing>): void {
    const { journal, config } = this;
    journal.note(() => `lend ${thing.id}`);
    this.lendCount++;
    const law = (holds: boolean, what: string) => {
      if (!holds) journal.violate(`${thing.id} is lent, and ${what}`);
    };
    law(!thing.isHeld, "is leased already");
    law(thing.closes === 0 && !thing.detached, "is not in the pool");
    law(!thing.broken || thing.lends === 1, "is broken");
    law(!thing.cleared, "was cleared");
    law(!thing.watched, "is still watched");
    law(thing.lends <= (config.pool.maxUses ?? Infinity), "has been used too often");
    law(!thing.condemned, "was condemned");
    law(this.isOpen || this.closeState === "draining", "the pool is closed");
    law(!this.isPaused, "the pool is paused");
    const clock = journal.time.clock();
    law(thing.lends === 1 || clock < thing.born + (config.pool.maxLifetime ?? Infinity), "is old");
    const isStale = clock - thing.touched >= (config.pool.idleTimeout ?? Infinity);
    law(this.hasKept || !isStale, "has been idle for too long");
    this.held.push({ lease, thing, seq: journal.seq, seen: false });
  }

  closes(thing: Thing): void {
    const { journal } = this;
    if (thing.closes > 1) journal.violate(`${thing.id} is closed twice`);
    if (thing.detached) journal.violate(`${thing.id} was given away, and is closed`);
    if (thing.isHeld && journal.time.clock() < this.forceFrom) {
      journal.violate(`${thing.id} is closed under its borrower`);
    }
    if (!thing.late) this.closeCount++;
  }

  asksIfStale(thing: Thing): void {
    if (thing.stale) this.callers.comesBack(thing.lease!);
  }

  // Hooks

  #dialled(): void {
    this.weather.down = this.weather.final = false;
    for (const call of this.connector.calls) call.isProbe = false;
    this.journal.meddle();
  }

  #failed(error: unknown, source: string): void {
    const { weather, journal, now } = this;
    journal.note(() => `error in ${source}: ${error}`);
    if (source === "connect" || source === "init" || source === "admit") {
      if (!weather.down) weather.since = now;
      const isFinal = error instanceof ModelError && error.final;
      if (error instanceof ModelError) {
        error.toldAt = now;
        error.isForAll = isFinal || weather.final;
      }
      weather.down = true;
      weather.final = isFinal;
      weather.lastFailure = now;
    }
    journal.meddle();
  }

  #retired(reason: string, thing: Thing): void {
    this.journal.note(() => `retire ${thing.id} as ${reason}`);
    if (thing.lends === 0) this.weather.lastWaste = this.now;
    this.journal.meddle();
  }

  // Callers

  /** The lease has reached its caller. */
  receive(lease: Lease<Thing>): Lend | undefined {
    const lend = this.held.find((each) => each.lease === lease);
    if (lend !== undefined) lend.seen = true;
    else if (!lease.ended) this.journal.violate("a lease appears that was not made");
    return lend;
  }

  /** Moves ended leases from `held` to `ended`. */
  sortLeases(): void {
    const isHeld = ({ lease, thing }: Lend) => !lease.ended && !thing.revoked;
    if (this.held.every(isHeld)) return;
    for (const { lease } of this.held) if (lease.ended) this.ended.push(lease);
    this.held = this.held.filter(isHeld);
    if (this.ended.length > 8) this.ended.splice(0, this.ended.length - 8);
  }

  warm(count: number): void {
    this.warmings++;
    const done = () => this.warmings--;
    this.pool.warm(count).then((opened) => {
      this.journal.note();
      if (opened > count) this.journal.violate(`warm(${count}) opens ${opened}`);
      done();
    }, done);
  }

  /** Replaces all resources: none that was open before is lent afterwards. */
  recycle(over: number): void {
    const old = [...this.connector.open];
    this.recyclings++;
    const done = () => {
      this.journal.note(() => "recycled");
      this.recyclings--;
    };
    this.pool.recycle({ over }).then(() => {
      done();
      for (const thing of old) thing.condemned = true;
    }, done);
  }

  setPaused(isPaused: boolean): void {
    this.isPaused = isPaused && this.isOpen; // a close that serves the waiters goes on
    if (isPaused) this.pool.pause();
    else this.pool.resume();
  }

  close(options: CloseOptions): void {
    const { timeout = 10_000, force = false, waiters = "reject" } = options;
    const isDraining = waiters === "serve" && !force &&
      (this.closeState === "open" || this.closeState === "draining");
    if (!isDraining && this.closeState !== "closed") {
      this.callers.haveCause("closed");
      this.closeState = "closing";
    } else if (this.isOpen) {
      this.closeState = "draining";
      this.isPaused = false; // waiters are served
    }
    const wait = force ? 0 : timeout;
    this.forceFrom = Math.min(this.forceFrom, this.journal.time.clock() + wait);
    const previous = this.closeBy ?? Infinity;
    this.closeBy = Math.min(previous, this.now + wait + GRACE);
    this.pool.close(options).then(() => {
      this.journal.note(() => "closed");
      this.closeState = "closed";
    });
  }
}

/** Its signal has another listener, before the pool's. */
export function newController(journal: Journal): AbortController {
  const controller = new AbortController();
  controller.signal.addEventListener("abort", () => journal.meddle(), { once: true });
  return controller;
}
