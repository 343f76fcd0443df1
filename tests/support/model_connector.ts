import {
  type ConnectContext,
  type Connector,
  type ConnectorContext,
  Lease,
  type LeaseSlot,
  type Permit,
  type WatchContext,
} from "../../pool/mod.ts";
import type { Journal } from "./model_journal.ts";

/** A pooled resource of the model, and its state. */
export class Thing {
  lends = 0;
  closes = 0;
  detached = false;
  /** Whether it arrived after the pool had given up the dial. */
  late = false;
  broken = false;
  stale = false;
  isOut = false;
  watched = false;
  /** Opened before a `clear()`. */
  cleared = false;
  /** Whether its connector or a `recycle()` has retired it. */
  condemned = false;
  /** Whether its connector closed it while it was leased. */
  revoked = false;
  /** The `retire` function that the connector got for it. */
  retire: ConnectContext["retire"] | undefined;
  /** When its dial began, in the time of the timers. */
  dialled = 0;
  /** When it was last opened or released, by the pool's clock. */
  touched: number;
  lost: ((reason: unknown) => void) | undefined;
  settling: Promise<void> | undefined;
  lease: Lease<Thing> | undefined;

  constructor(readonly id: number, readonly born: number) {
    this.touched = born;
  }

  get isHeld(): boolean {
    return this.lease !== undefined && !this.lease.ended && !this.revoked;
  }
}

export type Method =
  | "admit"
  | "connect"
  | "init"
  | "check"
  | "reset"
  | "close"
  | "probe"
  | "accept";
export type Mode = (typeof MODES)[keyof typeof MODES][number];
export type Script = { [M in keyof typeof MODES]: (typeof MODES)[M][number] };

/** The behaviours of each method: `sync` and `ok` succeed, `hang` is answered by a later step, if ever. */
export const MODES = {
  connect: ["sync", "ok", "hang", "hang", "fail", "throw", "final", "undefined", "twice"],
  admit: ["sync", "ok", "hang", "fail", "throw"],
  init: ["sync", "ok", "hang", "fail", "throw"],
  accept: ["sync", "ok", "hang", "fail", "throw"],
  isFatal: ["yes", "yes", "no", "throw"],
  check: ["sync", "ok", "hang", "no", "fail", "throw"],
  reset: ["sync", "ok", "hang", "fail", "throw"],
  close: ["sync", "ok", "hang", "fail", "throw"],
  probe: ["none", "none", "ok", "hang", "fail", "throw"],
  watch: ["sync", "sync", "lost", "throw", "prepare"],
  lease: ["sync", "sync", "sync", "sync", "throw"],
} as const;

/** An error of the connector; `seq` is the event at which the pool got it. */
export class ModelError extends Error {
  told = 0;
  /** When the pool got it, in the time of the timers; `Infinity` until then. */
  toldAt = Infinity;
  /** Whether all callers waited for the dial, or the failure is final. */
  isForAll = false;

  constructor(readonly method: string, readonly final: boolean, readonly seq: number) {
    super(`${method} failed`);
  }
}

/** A pending call. */
export interface Call {
  readonly method: Method;
  readonly thing: Thing | undefined;
  readonly signal: AbortSignal | undefined;
  readonly begun: number;
  /** Begun before a `clear()`. */
  cleared: boolean;
  /** Begun as the only probe of a server that is down. */
  isProbe: boolean;
  /** Whether the call was made and is pending. */
  isHanging: boolean;
  succeed(): void;
  fail(): void;
}

/** Callbacks from the connector to the model. */
export interface ConnectorEvents {
  dialBegins(call: Call): void;
  lends(thing: Thing, lease: Lease<Thing>): void;
  closes(thing: Thing): void;
  /** The pool asks whether to retry a body. */
  asksIfStale(thing: Thing): void;
}

type Answer<R> = R | Promise<R>;

/** A connector that follows its script and records its calls. */
export class ModelConnector implements Connector<Thing> {
  readonly script: Script;
  readonly #journal: Journal;
  readonly #events: ConnectorEvents;
  /** The pending calls, including those that the pool has given up. */
  readonly calls: Call[] = [];
  /** The open resources that the pool must close. */
  readonly open = new Set<Thing>();
  /** The resources that arrived after the pool had given up the dial. */
  readonly late = new Set<Thing>();
  opened = 0;
  /** Permits that the pool holds. */
  permits = 0;
  declare admit?: NonNullable<Connector<Thing>["admit"]>;
  declare init?: NonNullable<Connector<Thing>["init"]>;
  declare check?: NonNullable<Connector<Thing>["check"]>;
  declare reset?: NonNullable<Connector<Thing>["reset"]>;
  declare watch?: NonNullable<Connector<Thing>["watch"]>;
  declare probe?: NonNullable<Connector<Thing>["probe"]>;

  constructor(journal: Journal, script: Script, has: readonly string[], events: ConnectorEvents) {
    this.#journal = journal;
    this.script = { ...script };
    this.#events = events;
    if (has.includes("admit")) this.admit = this.#admit;
    if (has.includes("init")) this.init = this.#init;
    if (has.includes("check")) this.check = this.#check;
    if (has.includes("reset")) this.reset = this.#reset;
    if (has.includes("watch")) this.watch = this.#watch;
    if (has.includes("probe")) this.probe = this.#settle;
  }

  connect({ signal, retire }: ConnectContext): Answer<Thing> {
    const call = this.#begin("connect", undefined, signal);
    const known = this.#knownThing();
    if (this.script.connect === "twice" && known !== undefined) {
      this.forget(call);
      return known;
    }
    return this.#answer(call, () => this.#open(call, retire));
  }

  close(thing: Thing): Answer<void> {
    thing.closes++;
    this.#events.closes(thing);
    this.open.delete(thing);
    this.late.delete(thing);
    return this.#answer(this.#begin("close", thing), () => {});
  }

  isBroken(thing: Thing): boolean {
    if (thing.isOut && !thing.isHeld) {
      thing.isOut = false; // the lease has ended
      thing.touched = this.#journal.time.clock();
    }
    if (thing.broken && thing.id % 2 === 0) throw new ModelError("isBroken", true, 0);
    return thing.broken;
  }

  isRetryable(error: unknown): boolean {
    return !(error instanceof ModelError && error.final);
  }

  isFatal(): boolean {
    if (this.script.isFatal === "throw") throw this.#error("isFatal");
    return this.script.isFatal === "yes";
  }

  isStale(thing: Thing): boolean {
    this.#events.asksIfStale(thing);
    return thing.stale;
  }

  lease(slot: LeaseSlot<Thing>): Lease<Thing> {
    const thing = slot.resource;
    thing.lends++;
    if (this.script.lease === "throw") throw this.#error("lease");
    const lease = new Lease(slot);
    this.#events.lends(thing, lease);
    thing.lease = lease;
    thing.isOut = true;
    return lease;
  }

  unwatch(thing: Thing): void {
    if (!thing.watched) this.#journal.violate(`${thing.id} is unwatched, and was not watched`);
    thing.watched = false;
  }

  /** Whether the pool still awaits a call; for `probe` that cannot be known. */
  isAwaited(call: Call, closeLimit: number): boolean {
    if (call.signal !== undefined) return !call.signal.aborted;
    if (call.method !== "close" || call.thing!.late) return false;
    return this.#journal.time.now < call.begun + closeLimit;
  }

  #admit({ signal }: ConnectorContext): Answer<Permit> {
    return this.#answer(this.#begin("admit", undefined, signal), () => this.#permit());
  }

  #permit(): Permit {
    this.permits++;
    let isHeld = true;
    const release = () => {
      if (!isHeld) this.#journal.violate("a permit is given back twice");
      isHeld = false;
      this.permits--;
      this.#journal.note(() => "permit given back");
    };
    return { release, [Symbol.dispose]: release };
  }

  #init(thing: Thing, { signal }: ConnectorContext): Answer<void> {
    return this.#answer(this.#begin("init", thing, signal), () => {});
  }

  #check(thing: Thing, { signal }: ConnectorContext): Answer<boolean> {
    return this.#answer(this.#begin("check", thing, signal), (fit) => fit);
  }

  #reset(thing: Thing, { signal }: ConnectorContext): Answer<void> {
    return this.#answer(this.#begin("reset", thing, signal), () => {});
  }

  #watch(thing: Thing, { lost, prepare }: WatchContext): void {
    this.#journal.note(() => `watch ${thing.id}`);
    if (thing.watched || thing.isHeld || thing.closes > 0) {
      this.#journal.violate(`${thing.id} is not at rest, and is watched`);
    }
    thing.watched = true;
    thing.lost = lost;
    if (this.script.watch === "lost") lost("at once");
    if (this.script.watch === "prepare") {
      prepare(async ({ signal }) => {
        await this.#answer(this.#begin("accept", thing, signal), () => {});
      });
    }
    if (this.script.watch === "throw") throw this.#error("watch");
  }

  #settle(thing: Thing): Promise<void> | undefined {
    if (thing.settling !== undefined) return thing.settling;
    if (this.script.probe === "none") return undefined;
    const settling = this.#answer(this.#begin("probe", thing), () => {
      thing.settling = undefined;
    }) as Promise<void>;
    if (this.script.probe === "hang") thing.settling = settling;
    return settling;
  }

  #begin(method: Method, thing?: Thing, signal?: AbortSignal): Call {
    this.#journal.note(() => `${method}${thing === undefined ? "" : ` ${thing.id}`}`);
    const call: Call = {
      method,
      thing,
      signal,
      begun: method === "init" ? thing!.dialled : this.#journal.time.now,
      cleared: false,
      isProbe: false,
      isHanging: false,
      succeed: () => {},
      fail: () => {},
    };
    this.calls.push(call);
    if (method === "connect") this.#events.dialBegins(call);
    // A method that is called in the middle of a decision may not call the pool.
    if (method !== "probe") this.#journal.meddle();
    return call;
  }

  #answer<R>(call: Call, value: (fit: boolean) => R): Answer<R> {
    const { method } = call;
    const mode = this.#journal.isStorm ? "hang" : this.script[method];
    if (mode === "hang") return this.#hang(call, value);
    this.forget(call);
    if (call.thing !== undefined) call.thing.touched = this.#journal.time.clock();
    if (mode === "sync") return value(true);
    if (mode === "throw") throw this.#error(method);
    if (mode === "ok" || mode === "twice") return Promise.resolve(value(true));
    if (mode === "no") return Promise.resolve(value(false));
    if (mode === "undefined") return Promise.reject();
    return Promise.reject(this.#error(method, mode === "final", Infinity));
  }

  #hang<R>(call: Call, value: (fit: boolean) => R): Promise<R> {
    call.isHanging = true;
    return new Promise((resolve, reject) => {
      call.succeed = () => {
        if (call.thing !== undefined) call.thing.touched = this.#journal.time.clock();
        resolve(value(true));
      };
      call.fail = () => {
        if (call.method === "probe") call.thing!.settling = undefined;
        if (call.method === "check") resolve(value(false));
        else reject(this.#error(call.method, false, Infinity));
      };
    });
  }

  /** Settles the call. */
  forget(call: Call): void {
    const index = this.calls.indexOf(call);
    if (index >= 0) this.calls.splice(index, 1);
  }

  #open(call: Call, retire: ConnectContext["retire"]): Thing {
    const thing = new Thing(++this.opened, this.#journal.time.clock());
    thing.retire = retire;
    thing.dialled = call.begun;
    this.#journal.note(() => `opened ${thing.id}`);
    thing.cleared = call.cleared;
    thing.late = call.signal!.aborted;
    (thing.late ? this.late : this.open).add(thing);
    return thing;
  }

  /** A resource that is certainly in the pool. */
  #knownThing(): Thing | undefined {
    for (const thing of this.open) if (thing.lends > 0) return thing;
  }

  #error(method: string, final = false, seq = this.#journal.seq): ModelError {
    this.#journal.note(() => `${method} fails`);
    return new ModelError(method, final, seq);
  }
}
