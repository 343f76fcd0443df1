import {
  type ErrorEvent,
  Lease,
  LeaseReleasedError,
  Pool,
  type PoolOptions,
  PoolTimeoutError,
  type RetireEvent,
} from "../pool/mod.ts";
import { closeResource, type Connector } from "../pool/connector.ts";
import { isPromiseLike } from "../internal/promise_like.ts";
import { shown } from "../internal/text.ts";
import {
  checkOptions,
  nonEmptyStrings,
  positiveDuration,
  type Rule,
  typed,
} from "../internal/validate.ts";

/**
 * The connector that is tested, and what the tests can do to its other side.
 *
 * @typeParam T The type of the resource.
 * @typeParam L The type of the lease.
 */
export interface ConnectorSubject<T, L extends Lease<T> = Lease<T>> {
  /** Makes the connector, anew for each scenario. */
  make(): Connector<T, L> | PromiseLike<Connector<T, L>>;
  /**
   * How many resources are open, counted outside the connector: by the server, or
   * by the system. Without it only those are counted that the connector gave to
   * the pool, and a dial that leaks is not noticed.
   */
  open?: (() => number | PromiseLike<number>) | undefined;
  /** Uses a resource as a borrower does: a request, and its whole reply. It rejects if that fails. */
  use?: { call(lease: L): unknown }["call"] | undefined;
  /** Ends a resource from its other side: a peer that hangs up, a process that is killed. The next dial works again. */
  break?: { call(resource: T): unknown }["call"] | undefined;
  /** From now on, dials get no answer; gives what ends that. */
  stall?: (() => () => unknown) | undefined;
  /** What must not be shown, such as a password. */
  secrets?: readonly string[] | undefined;
  /**
   * How long what must happen may take, in milliseconds.
   *
   * @default {5_000}
   */
  patience?: number | undefined;
}

/** One scenario, to be registered as a test. */
export interface ConnectorScenario {
  /** What must hold. */
  readonly name: string;
  /** What the subject lacks for it, if it can't be run. */
  readonly missing: string | undefined;
  /**
   * Runs it.
   *
   * @throws {ConformanceError} If the connector does not do what it must.
   */
  run(): Promise<void>;
}

/** A connector does not do what it must. */
export class ConformanceError extends Error {
  /** Its name. */
  override name = "ConformanceError";
}

type Optional = "use" | "break" | "stall";

interface Scenario {
  readonly name: string;
  readonly needs?: readonly Optional[];
  run<T, L extends Lease<T>>(trial: Trial<T, L>): Promise<void>;
}

/**
 * Makes the scenarios that a connector must pass. Each runs by itself, with a pool
 * of its own, and leaves nothing open.
 *
 * @typeParam T The type of the resource.
 * @typeParam L The type of the lease.
 * @param subject The connector, and what can be done to its other side.
 * @returns The scenarios, for any test runner.
 * @throws {TypeError} If the subject lacks `make`, or has a member that is unknown or of the wrong type.
 *
 * @example
 * ```ts
 * import { testConnector } from "@x/sockpool/testing";
 *
 * const open = new Set<object>();
 * const scenarios = testConnector({
 *   make: () => ({
 *     connect() {
 *       const resource = {};
 *       open.add(resource);
 *       return resource;
 *     },
 *     close: (resource: object) => void open.delete(resource),
 *   }),
 *   open: () => open.size,
 * });
 * for (const { name, missing, run } of scenarios) {
 *   if (missing === undefined) await run(); // or Deno.test({ name, ignore: …, fn: run })
 * }
 * ```
 */
export function testConnector<T, L extends Lease<T> = Lease<T>>(
  subject: ConnectorSubject<T, L>,
): ConnectorScenario[] {
  checkOptions(subject, RULES, "test a connector", ["make"]);
  return SCENARIOS.map(({ name, needs = [], run }) => ({
    name,
    missing: needs.find((need) => subject[need] === undefined),
    run: () => Trial.run(subject, run),
  }));
}

const RULES: Record<keyof ConnectorSubject<unknown>, Rule> = {
  make: typed("function"),
  open: typed("function"),
  use: typed("function"),
  break: typed("function"),
  stall: typed("function"),
  secrets: nonEmptyStrings,
  patience: positiveDuration,
};

const DEFAULT_PATIENCE_MS = 5_000;
const LOOK_MS = 5;
/** How much later than its time a limit of the pool may be after a stall of the event loop. */
const STALL_GRACE_MS = 500;
const IDLE_MS = 20;
const STALLED_DIAL_MS = 50;
/** How often it is looked, after a failure, whether what was opened is closed. */
const ABANDON_LOOKS = 100;
/** When a dial is given up: after a number of microtasks, or of milliseconds. */
const EARLY_TURNS = [0, 1, 2, 3, 5, 8, 13];
const LATE_MS = [0, 1, 2, 4, 8, 16];

const SCENARIOS: readonly Scenario[] = [
  {
    name: "a resource is opened, lent, and closed once",
    async run(trial) {
      const pool = trial.pool();
      const lease = await trial.acquire(pool);
      await trial.use(lease);
      lease.release();
      await trial.close(pool);
    },
  },
  {
    name: "each dial gives a resource of its own",
    async run(trial) {
      const pool = trial.pool({ maxSize: 2 });
      const first = await trial.acquire(pool);
      const second = await trial.acquire(pool);
      if (first.value === second.value) fail("connect() gave the same resource twice");
      await Promise.all([trial.use(first), trial.use(second)]);
      first.release();
      second.release();
    },
  },
  {
    name: "a healthy resource is lent again, whatever calls come in between",
    async run(trial) {
      const pool = trial.pool();
      for (let loan = 0; loan < 5; loan++) {
        const lease = await trial.acquire(pool);
        await trial.use(lease);
        lease.release();
        if (loan % 2 === 1) await sleep(IDLE_MS);
      }
      const [retired] = trial.retired;
      if (retired === undefined) return;
      const { reason, detail } = retired;
      fail(`a healthy resource was retired, as '${reason}'${told(detail)}${trial.lastError()}`);
    },
  },
  {
    name: "an ended lease reaches nothing",
    async run(trial) {
      const pool = trial.pool();
      const ended = await trial.acquire(pool);
      ended.release();
      const lease = await trial.acquire(pool);
      ended.release();
      if (pool.stats.leased !== 1) fail("a second release() of a lease ended another's lease");
      if (reaches(ended)) fail("the 'value' of a lease that has ended can still be reached");
      if (trial.hasUse && await trial.works(ended)) {
        fail(
          "a lease that has ended can still be used: it reaches the resource otherwise than by 'value'",
        );
      }
      await trial.use(lease);
      lease.release();
    },
  },
  {
    name: "a resource that its borrower discards is closed",
    async run(trial) {
      const pool = trial.pool();
      const lease = await trial.acquire(pool);
      const discarded = lease.value;
      lease.discard("by intent");
      if (await trial.lent(pool) === discarded) {
        fail(
          "a resource that was discarded is lent again: discard() of the lease does not end it so",
        );
      }
    },
  },
  {
    name: "borrowers at once have a resource each",
    async run(trial) {
      const pool = trial.pool({ maxSize: 3 });
      const held = new Set<unknown>();
      const borrow = async () => {
        const lease = await trial.acquire(pool);
        const { value } = lease;
        if (held.has(value)) fail("two borrowers hold the same resource");
        held.add(value);
        await trial.use(lease);
        held.delete(value);
        lease.release();
      };
      await Promise.all(Array.from({ length: 12 }, borrow));
    },
  },
  {
    name: "a dial that is given up at any moment settles, and leaves nothing behind",
    async run(trial) {
      const moments = [
        ...EARLY_TURNS.map((turns) => () => microtasks(turns)),
        ...LATE_MS.map((time) => () => sleep(time)),
      ];
      for (const moment of moments) {
        const pool = trial.pool();
        const dial = pool.acquire().then((lease) => lease.release(), () => {});
        await moment();
        await trial.close(pool, true);
        await trial.within(dial, "acquire() did not settle after the pool was closed");
      }
      await trial.worksOn("after dials were given up");
    },
  },
  {
    name: "a dial without an answer ends at connectTimeout, and leaves nothing behind",
    needs: ["stall"],
    async run(trial) {
      const pool = trial.pool({ connectTimeout: STALLED_DIAL_MS });
      const end = trial.stall();
      try {
        const dial = pool.acquire().then(() => undefined, (error) => error);
        const error = await trial.within(dial, "acquire() did not settle at connectTimeout");
        if (!(error instanceof PoolTimeoutError)) {
          fail(
            `a dial to what does not answer ended otherwise than by its time limit${told(error)}`,
          );
        }
      } finally {
        await end();
      }
      await trial.worksOn("after a dial without an answer");
    },
  },
  {
    name: "a resource whose init fails is closed",
    async run(trial) {
      const failure = new Error("init() fails by intent");
      const pool = trial.pool({}, async (resource, context) => {
        await trial.connector.init?.(resource, context);
        throw failure;
      });
      const error = await trial.within(
        pool.acquire().then(() => undefined, (error) => error),
        "acquire() did not settle although init() had failed",
      );
      if (error !== failure) {
        fail(`acquire() did not reject with the error of init()${told(error)}`);
      }
    },
  },
  {
    name: "a detached resource is left alone",
    async run(trial) {
      const pool = trial.pool();
      const lease = await trial.acquire(pool);
      const resource = lease.detach();
      await trial.close(pool);
      await sleep(IDLE_MS);
      if (trial.closesOf(resource) > 0) fail("a detached resource was closed through the pool");
      if (await trial.count() < 1) fail("a detached resource is not open any more");
      await trial.closeDetached(resource);
    },
  },
  {
    name: "a forced close of the pool closes what is leased",
    async run(trial) {
      const pool = trial.pool();
      const lease = await trial.acquire(pool);
      await trial.close(pool, true);
      await trial.closed("a leased resource is open after a forced close of the pool");
      lease.release();
    },
  },
  {
    name: "an idle resource that has lost its other side is not lent for long",
    needs: ["break"],
    async run(trial) {
      const pool = trial.pool();
      const lease = await trial.acquire(pool);
      const broken = lease.value;
      await trial.use(lease);
      lease.release();
      await sleep(IDLE_MS);
      await trial.break(broken);
      await trial.eventually(
        async () => await trial.lent(pool) !== broken,
        "a resource that has lost its other side is lent again and again: " +
          "neither watch(), isBroken() nor check() has noticed",
      );
    },
  },
  {
    name: "a leased resource that has lost its other side is not lent again",
    needs: ["break", "use"],
    async run(trial) {
      const pool = trial.pool({ checkAfter: Infinity });
      const lease = await trial.acquire(pool);
      const broken = lease.value;
      await trial.break(broken);
      await trial.eventually(
        async () => !await trial.works(lease),
        "use() of the subject goes on to work after break()",
      );
      lease.release();
      if (await trial.lent(pool) === broken) {
        fail("a resource on which a borrower failed was lent again: isBroken() says it is well");
      }
    },
  },
  {
    name: "a resource that has lost its other side can be closed",
    needs: ["break"],
    async run(trial) {
      const pool = trial.pool();
      const lease = await trial.acquire(pool);
      await trial.break(lease.value);
      lease.discard();
    },
  },
  {
    name: "isRetryable(), isFatal() and isStale() answer at once for any thrown value",
    async run(trial) {
      const { connector } = trial;
      const pool = trial.pool();
      const lease = await trial.acquire(pool);
      const { value } = lease;
      const ask = (name: string, call: () => unknown) =>
        mustAnswer(name, call, (answer) => typeof answer === "boolean", "a boolean");
      if (connector.isBroken) ask("isBroken", () => connector.isBroken!(value));
      if (connector.lingering) {
        const isCount = (answer: unknown) => Number.isInteger(answer) && (answer as number) >= 0;
        mustAnswer("lingering", () => connector.lingering!(), isCount, "a count");
      }
      for (const error of [new Error("odd"), undefined, null, 0, Symbol(), Object.create(null)]) {
        if (connector.isRetryable) ask("isRetryable", () => connector.isRetryable!(error));
        if (connector.isFatal) ask("isFatal", () => connector.isFatal!(error, value));
        if (connector.isStale) ask("isStale", () => connector.isStale!(value, error));
      }
      lease.release();
    },
  },
  {
    name: "a resource that has answered its borrower is not stale",
    needs: ["use"],
    async run(trial) {
      const { connector } = trial;
      if (connector.isStale === undefined) return;
      const pool = trial.pool();
      for (let loan = 0; loan < 2; loan++) { // stale is what was reused
        const lease = await trial.acquire(pool);
        await trial.use(lease);
        if (connector.isStale(lease.value, new Error("odd"))) {
          fail("isStale() is true although a reply has come: the request would be sent twice");
        }
        lease.release();
      }
    },
  },
  {
    name: "its place is one line, without a secret",
    async run(trial) {
      const { place } = trial.connector;
      if (place === undefined) return await Promise.resolve();
      if (typeof place !== "string") fail(`'place' must be a string: received ${shown(place)}`);
      // deno-lint-ignore no-control-regex
      if (/[\x00-\x1f\x7f]/.test(place)) fail("'place' has control characters");
      trial.mustNotShow(place, "'place'");
    },
  },
];

/** One run of a scenario: its pools and resources. */
class Trial<T, L extends Lease<T>> {
  readonly #subject: ConnectorSubject<T, L>;
  readonly connector: Connector<T, L>;
  /** Violations that were noticed in calls of the connector. */
  readonly #faults: string[] = [];
  readonly #errors: ErrorEvent[] = [];
  readonly #closes = new Map<T, number>();
  readonly #pools: Pool<T, L>[] = [];
  readonly #base: number;
  readonly retired: RetireEvent<T>[] = [];
  #given = 0;
  #closed = 0;
  /** Whether close() may reject, of a resource that has lost its other side; it must still settle. */
  #mayFailToClose = false;

  private constructor(subject: ConnectorSubject<T, L>, connector: Connector<T, L>, base: number) {
    this.#subject = subject;
    this.connector = connector;
    this.#base = base;
  }

  static async run<T, L extends Lease<T>>(
    subject: ConnectorSubject<T, L>,
    scenario: (trial: Trial<T, L>) => Promise<void>,
  ): Promise<void> {
    const base = await subject.open?.() ?? 0;
    const trial = new Trial(subject, await subject.make(), base);
    try {
      await scenario(trial);
      await trial.#end();
    } catch (error) {
      await trial.#abandon();
      throw trial.#withoutSecrets(error);
    }
  }

  /** A pool of the connector, with another `init` if one is given. */
  pool(options: PoolOptions<T> = {}, init?: Connector<T, L>["init"]): Pool<T, L> {
    const pool = new Pool<T, L>(this.#observed(init), {
      maxSize: 1,
      checkAfter: 0,
      acquireTimeout: this.#patience,
      checkTimeout: this.#patience,
      ...options,
      hooks: {
        onError: (event) => void this.#errors.push(event),
        onRetire: (event) => {
          if (event.reason !== "closed") this.retired.push(event);
        },
      },
    });
    this.#pools.push(pool);
    return pool;
  }

  async acquire(pool: Pool<T, L>): Promise<L> {
    try {
      const lease = await pool.acquire();
      if (lease instanceof Lease) return lease;
    } catch (error) {
      fail(`the pool could not lend a resource${told(error)}`, error);
    }
    fail("lease() must give a Lease");
  }

  /** Asserts that a resource can be acquired and used, so that abandoned dials have used up no limit. */
  async worksOn(when: string): Promise<void> {
    try {
      const lease = await this.acquire(this.pool());
      await this.use(lease);
      lease.release();
    } catch (error) {
      fail(`no resource can be used ${when}${told(error)}`, error);
    }
  }

  /** Borrows a resource for a moment; returns it. */
  async lent(pool: Pool<T, L>): Promise<T> {
    const lease = await this.acquire(pool);
    const { value } = lease;
    lease.release();
    return value;
  }

  get hasUse(): boolean {
    return this.#subject.use !== undefined;
  }

  /** Uses a healthy resource. */
  async use(lease: L): Promise<void> {
    try {
      await this.#subject.use?.(lease);
    } catch (error) {
      fail(`use() of the subject failed on a healthy resource${told(error)}`, error);
    }
  }

  /** Whether a lease can be used. */
  async works(lease: L): Promise<boolean> {
    try {
      await this.within(Promise.resolve(this.#subject.use!(lease)), "use() did not settle");
      return true;
    } catch (error) {
      if (error instanceof ConformanceError) throw error;
      this.mustNotShow(told(error), "an error of a borrower");
      return false;
    }
  }

  async break(resource: T): Promise<void> {
    this.#mayFailToClose = true;
    await this.#subject.break!(resource);
  }

  stall(): () => unknown {
    return this.#subject.stall!();
  }

  async close(pool: Pool<T, L>, force = false): Promise<void> {
    await this.within(pool.close({ force }), "the pool could not be closed");
  }

  /** The number of open resources beyond those from before the scenario. */
  async count(): Promise<number> {
    const { open } = this.#subject;
    if (open === undefined) return this.#given - this.#closed;
    return await open.call(this.#subject) - this.#base;
  }

  closesOf(resource: T): number {
    return this.#closes.get(resource) ?? 0;
  }

  /** Closes the detached resources. */
  async closeDetached(resource: T): Promise<void> {
    const closing = async () => await this.#observed().close!(resource, "discarded");
    await this.within(
      closing().catch((error) => fail(`close() failed${told(error)}`, error)),
      "close() did not settle",
    );
  }

  /** Waits until no resource is open that the system can free. */
  async closed(message: string): Promise<void> {
    let extra = 0;
    await this.eventually(
      async () => (extra = await this.count() - (this.connector.lingering?.() ?? 0)) <= 0,
      () => `${message}: ${extra} more than before${this.lastError()}`,
    );
  }

  async eventually(
    condition: () => boolean | Promise<boolean>,
    message: string | (() => string),
  ): Promise<void> {
    // So many looks, and not so much time: a stall of the event loop is not counted.
    let looks = this.#patience / LOOK_MS;
    while (!await condition()) {
      if (looks-- <= 0) fail(typeof message === "string" ? message : message());
      await sleep(LOOK_MS);
    }
  }

  async within<R>(outcome: Promise<R>, message: string): Promise<R> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = new Promise<never>((_, reject) => {
      const late = () => reject(new ConformanceError(`${message} within ${2 * this.#patience} ms`));
      // The pool's own limits come first, and on a busy machine they are later than their time.
      timer = setTimeout(() => timer = setTimeout(late, STALL_GRACE_MS), 2 * this.#patience);
    });
    try {
      return await Promise.race([outcome, limit]);
    } finally {
      clearTimeout(timer);
    }
  }

  mustNotShow(text: string, where: string): void {
    const { secrets = [] } = this.#subject;
    if (secrets.some((secret) => text.includes(secret))) fail(`${where} shows a secret`);
  }

  /** The last reported error, for messages. */
  lastError(): string {
    const event = this.#errors.at(-1);
    return event === undefined
      ? ""
      : `; the last error was in ${event.source}()${told(event.error)}`;
  }

  get #patience(): number {
    return this.#subject.patience ?? DEFAULT_PATIENCE_MS;
  }

  /** Closes everything, and asserts that nothing is left. */
  async #end(): Promise<void> {
    for (const pool of this.#pools) await this.close(pool);
    for (const { error, source } of this.#errors) {
      this.mustNotShow(`${told(error)}`, `an error of ${source}()`);
      if (source !== "close") continue;
      if (error instanceof PoolTimeoutError) fail(`close() did not settle${told(error)}`);
      if (!this.#mayFailToClose) fail(`close() failed${told(error)}`, error);
    }
    const [fault] = this.#faults;
    if (fault !== undefined) fail(fault);
    for (const count of this.#closes.values()) {
      if (count > 1) fail(`close() was called ${count} times for one resource`);
    }
    await this.closed("something is still open although the pool is closed");
  }

  /** After a failure: closes as much as possible, so that the next scenario begins with nothing open. */
  async #abandon(): Promise<void> {
    for (const pool of this.#pools) await this.close(pool, true).catch(() => {});
    for (let looks = ABANDON_LOOKS; looks > 0 && await this.count() > 0; looks--) {
      await sleep(LOOK_MS);
    }
    await sleep(0); // for abandoned calls that end in this turn
  }

  /** An error whose message shows a secret is replaced by one that does not. */
  #withoutSecrets(error: unknown): unknown {
    const { secrets = [] } = this.#subject;
    const text = error instanceof Error ? error.message : "";
    if (!secrets.some((secret) => text.includes(secret))) return error;
    const shown = secrets.reduce((rest, secret) => rest.replaceAll(secret, "***"), text);
    return new ConformanceError(`an error shows a secret: ${shown}`);
  }

  /** The connector with its calls recorded. It has exactly the methods of the connector. */
  #observed(init = this.connector.init?.bind(this.connector)): Connector<T, L> {
    const inner = this.connector;
    return {
      ...membersOf(inner),
      ...(init === undefined ? {} : { init }),
      connect: async (context) => {
        const resource = await inner.connect(context);
        this.#given++;
        return resource;
      },
      close: (resource, reason) => {
        this.#closed++;
        this.#closes.set(resource, this.closesOf(resource) + 1);
        return closeResource(inner, resource, reason);
      },
      ...this.#synchronous("isBroken"),
      ...this.#synchronous("watch"),
      ...this.#synchronous("unwatch"),
    };
  }

  /** A method that must not return a promise. */
  #synchronous(name: "isBroken" | "watch" | "unwatch"): Partial<Connector<T, L>> {
    const method = this.connector[name];
    if (method === undefined) return {};
    const call = (...args: unknown[]): unknown => {
      const answer: unknown = Reflect.apply(method, this.connector, args);
      if (isPromiseLike(answer)) this.#faults.push(`${name}() must not be asynchronous`);
      return answer;
    };
    return { [name]: call };
  }
}

/** The members of a connector, including those of its class, as a plain object. */
function membersOf<T, L extends Lease<T>>(connector: Connector<T, L>): Connector<T, L> {
  const members = MEMBERS.flatMap((name) => {
    const member: unknown = connector[name];
    if (member === undefined) return [];
    return [[name, typeof member === "function" ? member.bind(connector) : member]];
  });
  return Object.fromEntries(members);
}

const MEMBERS = [
  "place",
  "admit",
  "connect",
  "check",
  "reset",
  "isRetryable",
  "isFatal",
  "isStale",
  "lease",
  "probe",
  "lingering",
] as const;

function mustAnswer(
  name: string,
  call: () => unknown,
  isRight: (answer: unknown) => boolean,
  what: string,
): void {
  let answer: unknown;
  try {
    answer = call();
  } catch (error) {
    fail(`${name}() must not throw${told(error)}`, error);
  }
  if (!isRight(answer)) fail(`${name}() must give ${what} at once: received ${shown(answer)}`);
}

function reaches(lease: Lease<unknown>): boolean {
  try {
    lease.value;
    return true;
  } catch (error) {
    if (error instanceof LeaseReleasedError) return false;
    fail(`the 'value' of an ended lease must throw LeaseReleasedError${told(error)}`, error);
  }
}

function told(error: unknown): string {
  if (error === undefined) return "";
  return `: ${error instanceof Error ? `${error.name}: ${error.message}` : shown(error)}`;
}

function fail(message: string, cause?: unknown): never {
  throw new ConformanceError(message, cause === undefined ? {} : { cause });
}

const sleep = (time: number) => new Promise<void>((resolve) => setTimeout(resolve, time));

async function microtasks(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await undefined;
}
