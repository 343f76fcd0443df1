/**
 * A small pool, its possible next events, and the laws that hold after each event:
 * the subject of the exhaustive walk.
 *
 * @module
 */

import {
  type AcquireOptions,
  type CloseOptions,
  type ConnectContext,
  type Lease,
  Pool,
  PoolClosedError,
  PoolExhaustedError,
  type PoolOptions,
  type PoolStats,
  PoolTimeoutError,
} from "../../pool/mod.ts";
import { KeyedPool } from "../../pool/keyed_pool.ts";
import type { Allocator } from "../../pool/_allocator.ts";
import { OwnCapacity } from "../../pool/_capacity.ts";
import { KeyCapacity } from "../../pool/_shared_capacity.ts";
import type { Slot } from "../../pool/_slot.ts";
import type { Waiter } from "../../pool/_wait_queue.ts";
import { VirtualTime } from "./virtual_time.ts";

/** A walk is over one pool, or over one with two keys. */
export type Kind = "pool" | "keyed";

const KEYS = { pool: [""], keyed: ["a", "b"] } as const;
const SIZE = 2;
const CALLERS = 3;
/** The duration of a step of time: that of a key's patience and of `checkAfter`. */
const SPAN = 10;
const HOPS = 8;

/** An event: its name, and the index of its subject. */
export type Event = readonly [name: string, index: number];

interface Thing {
  readonly key: string;
  retire: ConnectContext["retire"];
  state: "open" | "closing" | "closed";
  lends: number;
  isOut: boolean;
  isStale: boolean;
  lost: ((reason: unknown) => void) | undefined;
}

interface Caller {
  readonly key: string;
  readonly number: number;
  readonly name: AcquireName;
  readonly since: number;
  readonly controller: AbortController;
  state: "waiting" | "holding" | "over";
  lease: Lease<Thing> | undefined;
}

interface Call {
  readonly method: "connect" | "check" | "close";
  readonly key: string;
  isStale: boolean;
  /** Whether the pool has given it up. */
  isGivenUp: boolean;
  succeed(): void;
  fail(): void;
}

const ACQUIRES = {
  any: {},
  fresh: { fresh: true },
  now: { timeout: 0 },
  soon: { timeout: SPAN },
  first: { priority: 1 },
} satisfies Record<string, AcquireOptions>;

type AcquireName = keyof typeof ACQUIRES;

/** The common part of a pool and a keyed pool. */
interface Subject {
  acquire(key: string, options: AcquireOptions): Promise<Lease<Thing>>;
  tryAcquire(key: string): Lease<Thing> | undefined;
  resize(maxSize: number): void;
  clear(): void;
  pause(): void;
  resume(): void;
  close(options: CloseOptions): Promise<void>;
  statsOf(key: string): PoolStats | undefined;
}

type Inside = Allocator<Thing, Lease<Thing>>;

/** The internals of the pools, for the canonical form; the capacity is told its pool. */
class Insides implements Disposable {
  readonly allocators = new Map<string, Inside>();
  readonly #own = OwnCapacity.prototype.serve;
  readonly #shared = KeyCapacity.prototype.serve;

  constructor(keyOf: () => string) {
    const { allocators } = this;
    OwnCapacity.prototype.serve = function (...[user]: [user?: unknown]) {
      allocators.set(keyOf(), user as Inside);
    };
    const serve = this.#shared;
    KeyCapacity.prototype.serve = function (user) {
      allocators.set(keyOf(), user as Inside);
      serve.call(this, user);
    };
  }

  [Symbol.dispose](): void {
    OwnCapacity.prototype.serve = this.#own;
    KeyCapacity.prototype.serve = this.#shared;
  }
}

/** A pool of two slots and three callers, whose connector is answered by events. */
export class SmallWorld implements Disposable {
  readonly #time = new VirtualTime(1);
  readonly #keys: readonly string[];
  readonly #subject: Subject;
  readonly #insides: Insides;
  #key = "";
  readonly #things: Thing[] = [];
  readonly #calls: Call[] = [];
  #callers: Caller[] = [];
  #count = 0;
  #maxSize = SIZE;
  /** How many may be open in spite of a lowered bound. */
  #excused = 0;
  #isPaused = false;
  #closing: "no" | "serve" | "reject" | "force" | "over" = "no";
  violation: string | undefined;

  constructor(kind: Kind) {
    this.#keys = KEYS[kind];
    this.#insides = new Insides(() => this.#key);
    const time = this.#time;
    const options: PoolOptions = {
      maxSize: SIZE,
      acquireTimeout: Infinity,
      connectTimeout: Infinity,
      checkTimeout: Infinity,
      idleTimeout: 2 * SPAN,
      maxLifetime: Infinity,
      checkAfter: SPAN,
      clock: { now: () => time.now, wall: () => time.now },
    };
    this.#subject = kind === "pool" ? this.#pool(options) : this.#keyedPool(options);
  }

  [Symbol.dispose](): void {
    this.#insides[Symbol.dispose]();
    this.#time[Symbol.dispose]();
  }

  #pool(options: PoolOptions): Subject {
    const pool = new Pool<Thing>(this.#connector(""), options);
    return {
      acquire: (_, how) => pool.acquire(how),
      tryAcquire: () => pool.tryAcquire(),
      resize: (maxSize) => pool.resize(maxSize),
      clear: () => pool.clear(),
      pause: () => pool.pause(),
      resume: () => pool.resume(),
      close: (how) => pool.close(how),
      statsOf: () => pool.stats,
    };
  }

  #keyedPool(options: PoolOptions): Subject {
    const { minIdle: _, hooks: __, ...others } = options;
    return new KeyedPool<string, Thing>((key) => {
      this.#key = key;
      return this.#connector(key);
    }, { ...others, maxPerKey: SIZE });
  }

  #connector(key: string) {
    return {
      connect: ({ retire }: ConnectContext) => {
        const call = this.#call("connect", key, () => {
          const thing: Thing = {
            key,
            retire,
            state: "open",
            lends: 0,
            isOut: false,
            isStale: call.isStale,
            lost: undefined,
          };
          this.#things.push(thing);
          return thing;
        });
        return call.answer;
      },
      check: () => this.#call("check", key, () => true).answer,
      close: (thing: Thing) => {
        this.#law(thing.state === "open", "nothing is closed twice");
        thing.state = "closing";
        thing.isOut = false;
        return this.#call("close", key, () => {
          thing.state = "closed";
        }).answer;
      },
      watch: (thing: Thing, { lost }: { lost: (reason: unknown) => void }) => {
        thing.lost = lost;
      },
      unwatch: (thing: Thing) => {
        thing.lost = undefined;
      },
    };
  }

  #call<R>(
    method: Call["method"],
    key: string,
    value: () => R,
  ): Call & { answer: Promise<R> } {
    let settle: (outcome: R | PromiseLike<R>) => void;
    const answer = new Promise<R>((resolve) => settle = resolve);
    const call = {
      method,
      key,
      answer,
      isStale: false,
      isGivenUp: false,
      succeed: () => settle(value()),
      fail: () => settle(method === "check" ? false as R : Promise.reject(REFUSED)),
    };
    this.#calls.push(call);
    return call;
  }

  // Events

  /** All possible next events, without equivalent ones. */
  events(): Event[] {
    const events: Event[] = [];
    const each = (name: string, count: number) => {
      for (let index = 0; index < count; index++) events.push([name, index]);
    };
    const isOpen = this.#closing === "no";
    if (this.#callers.length < CALLERS) {
      const names = isOpen ? Object.keys(ACQUIRES) : ["any"];
      for (const name of names) each(name, this.#keys.length);
      if (isOpen) each("try", this.#keys.length);
    }
    const holding = this.#with("holding").length;
    for (const way of ["release", "discard", "detach", "retire", "retireNow"]) each(way, holding);
    each("abort", this.#with("waiting").length);
    each("succeed", this.#calls.length);
    each("fail", this.#calls.filter(({ method }) => method !== "close").length);
    each("lose", this.#idle().length);
    const isDialling = this.#calls.some(({ method }) => method === "connect");
    if (this.#keys.length === 1 || !isDialling) each("pass", 1); // so that the mean dial stays 0
    if (isOpen) {
      each("resize", 1);
      each("clear", 1);
      each("pause", 1);
      each("serve", 1);
    }
    if (isOpen || this.#closing === "serve") each("reject", 1);
    if (this.#closing !== "force" && this.#closing !== "over") each("force", 1);
    return events;
  }

  /** Runs one event and all its consequences. */
  async apply([name, index]: Event): Promise<void> {
    if (name === "pass") await this.#pass();
    else this.#act(name, index);
    await hops();
  }

  #act(name: string, index: number): void {
    if (name in ACQUIRES) return this.#acquire(this.#keys[index]!, name as AcquireName);
    switch (name) {
      case "try":
        return this.#tryAcquire(this.#keys[index]!);
      case "release":
      case "discard":
      case "detach":
        return this.#end(this.#with("holding")[index]!, name);
      case "retire":
      case "retireNow":
        return this.#retire(this.#with("holding")[index]!, name === "retireNow");
      case "abort":
        return this.#with("waiting")[index]!.controller.abort(ABORTED);
      case "succeed":
        return this.#answer(this.#calls[index]!, true);
      case "fail":
        return this.#answer(this.#calls.filter(({ method }) => method !== "close")[index]!, false);
      case "lose":
        return this.#idle()[index]!.lost!("hung up");
      case "resize":
        this.#excused = this.#open.length;
        this.#maxSize = SIZE + 1 - this.#maxSize;
        return this.#subject.resize(this.#maxSize);
      case "clear":
        for (const thing of this.#things) thing.isStale = true;
        for (const call of this.#calls) call.isStale = true;
        return this.#subject.clear();
      case "pause":
        this.#isPaused = !this.#isPaused;
        return this.#isPaused ? this.#subject.pause() : this.#subject.resume();
      case "serve":
        return this.#close("serve", { waiters: "serve", timeout: Infinity });
      case "reject":
        return this.#close("reject", { timeout: Infinity });
      case "force":
        return this.#close("force", { force: true });
    }
  }

  #acquire(key: string, name: AcquireName): void {
    const controller = new AbortController();
    const caller: Caller = {
      key,
      number: this.#count++,
      name,
      since: this.#time.now,
      controller,
      state: "waiting",
      lease: undefined,
    };
    this.#callers.push(caller);
    this.#subject.acquire(key, { ...ACQUIRES[name], signal: controller.signal }).then(
      (lease) => this.#served(caller, lease),
      (error) => this.#refused(caller, error),
    );
  }

  #tryAcquire(key: string): void {
    const isFree = this.#with("waiting").every((each) => each.key !== key);
    const lease = this.#subject.tryAcquire(key);
    if (lease === undefined) return;
    this.#law(isFree, "tryAcquire overtakes no caller");
    const caller: Caller = {
      key,
      number: this.#count++,
      name: "any",
      since: this.#time.now,
      controller: new AbortController(),
      state: "waiting",
      lease: undefined,
    };
    this.#callers.push(caller);
    this.#served(caller, lease);
  }

  #end(caller: Caller, how: "release" | "discard" | "detach"): void {
    const { lease } = caller;
    this.#leave(caller);
    const thing = lease!.value;
    thing.isOut = false;
    if (how === "detach") thing.state = "closed";
    lease![how]();
  }

  /** The connector retires a resource: on release, or at once while leased. */
  #retire(caller: Caller, now: boolean): void {
    const thing = caller.lease!.value;
    thing.isStale = true;
    thing.retire("hung up", { now });
    if (now) this.#leave(caller);
  }

  #answer(call: Call, isGood: boolean): void {
    this.#calls.splice(this.#calls.indexOf(call), 1);
    if (isGood) call.succeed();
    else call.fail();
  }

  #close(how: "serve" | "reject" | "force", options: CloseOptions): void {
    this.#closing = how;
    if (how === "serve") this.#isPaused = false;
    if (how === "force") {
      for (const each of this.#with("holding")) this.#leave(each);
      for (const call of this.#calls) call.isGivenUp = true;
    }
    this.#subject.close(options).then(() => {
      this.#closing = "over";
      this.#law(this.#things.every(({ state }) => state !== "open"), "nothing is left open");
    });
  }

  async #pass(): Promise<void> {
    const until = this.#time.now + SPAN;
    while (this.#time.advance(until)) await hops();
  }

  #leave(caller: Caller): void {
    caller.state = "over";
    this.#callers = this.#callers.filter((each) => each !== caller);
  }

  #served(caller: Caller, lease: Lease<Thing>): void {
    const thing = lease.value;
    this.#law(caller.state === "waiting", "no call settles twice");
    this.#law(!thing.isOut, "nothing is lent twice");
    this.#law(thing.state === "open" && !thing.isStale, "a lent resource is open and not stale");
    this.#law(thing.key === caller.key, "keys are not mixed");
    this.#law(!this.#isPaused, "nothing is lent while the pool is paused");
    const isFresh = ++thing.lends === 1;
    this.#law(isFresh || caller.name !== "fresh", "a caller for a fresh resource gets one");
    thing.isOut = true;
    caller.state = "holding";
    caller.lease = lease;
    const overtaken = this.#with("waiting").find((other) =>
      other.key === caller.key && isBefore(other, caller) && (isFresh || other.name !== "fresh")
    );
    this.#overtakings.push(overtaken);
    if (!isFresh) this.#checkBound(caller);
  }

  /** Callers that waited when a later one was served; they may settle in the same turn. */
  #overtakings: (Caller | undefined)[] = [];

  /** A resource stays with its key until a caller of another key has waited for the bound. */
  #checkBound(caller: Caller): void {
    if (caller.since === this.#time.now || this.#closing !== "no") return;
    const isCalm = this.#calls.length === 0;
    const rival = this.#with("waiting").find((other) =>
      other.key !== caller.key && isBefore(other, caller) && other.name !== "now" &&
      this.#time.now - other.since >= SPAN
    );
    if (isCalm) this.#overtakings.push(rival);
  }

  #refused(caller: Caller, error: unknown): void {
    this.#law(caller.state === "waiting", "no call settles twice");
    const isDue = caller.name === "soon" && this.#time.now - caller.since >= SPAN;
    const isKnown = error === REFUSED ||
      error === ABORTED && caller.controller.signal.aborted ||
      error instanceof PoolClosedError && this.#closing !== "no" ||
      error instanceof PoolExhaustedError && caller.name === "now" ||
      error instanceof PoolTimeoutError && isDue;
    this.#law(isKnown, `a caller is rejected without a cause: ${error}`);
    this.#leave(caller);
  }

  // Laws

  #law(holds: boolean, what: string): void {
    if (!holds) this.violation ??= what;
  }

  /** Checks what holds when no microtask is left. */
  check(): void {
    const open = this.#open.length;
    if (open <= this.#maxSize) this.#excused = 0;
    const most = Math.max(this.#maxSize, this.#excused);
    this.#law(open <= most, "a bound is exceeded");
    for (const caller of this.#overtakings) {
      this.#law(caller?.state !== "waiting", "no caller is overtaken");
    }
    this.#overtakings = [];
    for (const key of this.#keys) this.#checkFigures(key);
    for (const caller of this.#with("waiting")) this.#checkWait(caller);
    if (!this.#isPaused) { for (const key of this.#keys) this.#checkProgress(key); }
    this.#checkClosing(open);
  }

  #checkFigures(key: string): void {
    const stats = this.#subject.statsOf(key);
    const of = <E extends { key: string }>(all: readonly E[]) => all.filter((e) => e.key === key);
    const calls = of(this.#calls).filter(({ isGivenUp }) => !isGivenUp);
    const count = (method: Call["method"]) => calls.filter((c) => c.method === method).length;
    const leased = of(this.#with("holding")).length;
    const waiting = of(this.#with("waiting")).length;
    const open = of(this.#things).filter(({ state }) => state === "open").length;
    const figures = {
      leased,
      waiting,
      connecting: count("connect"),
      preparing: count("check"),
      closing: count("close"),
      idle: open - leased - count("check"),
    };
    const { closing = 0, connecting = 0, preparing = 0, idle = 0, size = 0 } = stats ?? {};
    this.#law((stats?.waiting ?? 0) === waiting, "`waiting` counts the pending calls");
    this.#law((stats?.leased ?? 0) === leased, "`leased` counts the leases");
    this.#law(connecting === figures.connecting, "`connecting` counts the dials in flight");
    this.#law(preparing === figures.preparing, "`preparing` counts the checks in flight");
    const isForced = this.#closing === "force" || this.#closing === "over"; // closes are given up
    this.#law(isForced || closing === figures.closing, "`closing` counts the closes in flight");
    this.#law(idle === figures.idle, "`idle` counts the resources without a lease");
    this.#law(size === leased + idle + connecting + preparing + closing, "the size is the sum");
  }

  #checkWait({ name, since, controller, key }: Caller): void {
    const isClosed = this.#closing === "reject" || this.#closing === "force";
    this.#law(!isClosed, "no caller waits once the pool is closed");
    this.#law(!controller.signal.aborted, "no aborted caller waits");
    const isLate = name === "soon" && this.#time.now - since >= SPAN;
    this.#law(!isLate, "no caller waits beyond its timeout");
    const isSoon = this.#calls.some((call) => call.key === key || call.method === "close");
    this.#law(name !== "now" || isSoon, "no caller with timeout 0 waits");
  }

  /** No caller waits while it could be served. */
  #checkProgress(key: string): void {
    const stats = this.#subject.statsOf(key);
    if (stats === undefined) return;
    const { waiting, idle, connecting, preparing, size } = stats;
    const unserved = waiting - connecting - preparing;
    const any = this.#with("waiting").filter((each) => each.key === key && each.name !== "fresh");
    this.#law(any.length <= preparing || idle === 0, "no caller waits while a resource is idle");
    if (unserved <= 0 || size >= SIZE) return;
    const open = this.#open;
    this.#law(open.length >= this.#maxSize, "no caller waits while there is room");
    const closing = open.filter(({ state }) => state === "closing").length;
    this.#law(closing > 0 || this.#idle().length === 0, "no caller waits while room can be made");
  }

  #checkClosing(open: number): void {
    if (this.#closing === "no") return;
    const isServed = this.#closing !== "serve" || this.#with("waiting").length === 0;
    const isOver = open === 0 && isServed;
    this.#law(!isOver || this.#closing === "over", "close() settles when nothing is left");
    this.#law(this.#closing !== "over" || isServed, "close() serves the waiters");
  }

  // Contents

  #with(state: Caller["state"]): Caller[] {
    return this.#callers.filter((each) => each.state === state);
  }

  /** What takes a slot: dials, and resources that are open or being closed. */
  get #open(): { readonly state: string }[] {
    const dials = this.#calls.filter((call) => call.method === "connect" && !call.isGivenUp);
    const things = this.#things.filter(({ state }) => state !== "closed");
    return [...dials.map(() => ({ state: "connecting" })), ...things];
  }

  /** The idle resources. */
  #idle(): Thing[] {
    return this.#things.filter((thing) => thing.state === "open" && thing.lost !== undefined);
  }

  // The canonical form

  /** The canonical form: two worlds with the same form behave alike. */
  canonical(): string {
    const insides = [...this.#insides.allocators].filter(([, { slots, queue, isPaused }]) =>
      slots.size + queue.size > 0 || isPaused || this.#keys.length === 1
    );
    const waiters = insides.flatMap(([, { queue }]) => [...queue]).sort((a, b) => a.rank - b.rank);
    const idle = insides.flatMap(([, { slots }]) => [...slots])
      .filter(({ state, keepsRest }) => state === "idle" || keepsRest)
      .sort((a, b) => a.idleOrder - b.idleOrder);
    const keys = insides.map(([key, inside]) => this.#canonicalKey(key, inside, waiters, idle));
    const late = this.#calls.filter(({ isGivenUp }) => isGivenUp).map(({ method }) => method);
    const closes = this.#calls.filter(({ method }) => method === "close").length;
    return [
      this.#closing,
      this.#isPaused,
      this.#maxSize,
      this.#callers.length,
      closes,
      ...late.sort(),
      ...keys.sort(),
    ].join("|");
  }

  #canonicalKey(
    key: string,
    { slots, queue, opener, state, isPaused }: Inside,
    waiters: readonly Waiter[],
    idle: readonly Slot<Thing>[],
  ): string {
    const now = this.#time.now;
    const slotTexts = [...slots].map((slot) => this.#canonicalSlot(slot, opener, waiters, idle));
    const waiterTexts = [...queue].map((waiter) => {
      const { kind, mayWait, priority, timeout } = waiter.request;
      const isDue = now - waiter.since >= SPAN;
      return [waiters.indexOf(waiter), kind, mayWait, priority, timeout, isDue].join();
    });
    const isLarge = this.#insides.allocators.size > 1 && isPaused;
    return [state, isPaused, isLarge && key, opener.isQuiet, ...slotTexts.sort(), ...waiterTexts]
      .join(";");
  }

  #canonicalSlot(
    slot: Slot<Thing>,
    opener: Inside["opener"],
    waiters: readonly Waiter[],
    idle: readonly Slot<Thing>[],
  ): string {
    const now = this.#time.now;
    const { state, uses, waiter, generation, keepsRest, condemned, isWatched, dueAt } = slot;
    return [
      state,
      uses > 0,
      waiter === undefined ? "" : waiters.indexOf(waiter),
      generation < opener.generation,
      keepsRest,
      condemned?.reason,
      isWatched,
      slot.call !== undefined,
      idle.indexOf(slot),
      state === "idle" ? now - slot.idleSince : "",
      state === "idle" || keepsRest ? Math.max(0, dueAt - now) : "",
    ].join();
  }
}

const REFUSED = new Error("refused");
const ABORTED = new Error("aborted");

/** Whether a caller is served before another if both can be served. */
function isBefore(a: Caller, b: Caller): boolean {
  const first = Number(b.name === "first") - Number(a.name === "first");
  return first < 0 || first === 0 && a.number < b.number;
}

async function hops(): Promise<void> {
  for (let i = 0; i < HOPS; i++) await null;
}
