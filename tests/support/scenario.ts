import {
  type Connector,
  type ConnectorContext,
  KeyedPool,
  type KeyedPoolOptions,
  type Lease,
  Pool,
  type PoolOptions,
  type WatchContext,
} from "../../pool/mod.ts";
import { sameTurn } from "./until.ts";
import { VirtualTime } from "./virtual_time.ts";

/** Operations on a pool and the expected events; `scenarios/README.md` describes the format. */
export interface Scenario {
  name: string;
  connector?: string[];
  options?: PoolOptions & Pick<KeyedPoolOptions<string>, "maxPerKey">;
  /** Makes the pool a KeyedPool. Keys that are not named have the weight 1. */
  weights?: Record<string, number>;
  operations: Operation[];
  events: string[];
}

/** One operation and its arguments. */
export interface Operation {
  do: string;
  as?: string;
  /** Of a KeyedPool. */
  key?: string;
  fresh?: boolean;
  priority?: number;
  retryStale?: boolean;
  timeout?: number;
  force?: boolean;
  /** How a connector's method answers from now on. */
  method?: string;
  answer?: string;
  /** The number of a dial and of its resource. */
  resource?: number;
  count?: number;
  ms?: number;
}

interface Resource {
  readonly number: number;
  broken: boolean;
  stale: boolean;
  lost?: (reason: unknown) => void;
}

/** A Pool, or one key of a KeyedPool. */
type Target = Pick<Pool<Resource>, "acquire" | "tryAcquire" | "use" | "warm" | Verb>;
type Verb = "clear" | "pause" | "resume";

interface Call {
  readonly name: string;
  succeed(): void;
  fail(error: Error): void;
}

/** Runs a scenario to its end; resolves to its events. */
export async function play(scenario: Scenario): Promise<string[]> {
  using time = new VirtualTime(1);
  const stage = new Stage(scenario, time);
  await sameTurn();
  for (const operation of scenario.operations) await stage.perform(operation);
  const { events } = stage;
  await stage.end([...events]);
  return stage.outcome;
}

class Stage {
  readonly events: string[] = [];
  outcome: string[] = [];
  readonly #time: VirtualTime;
  readonly #pool: Pool<Resource> | KeyedPool<string, Resource>;
  /** A key of the pool, or the pool itself. */
  readonly #at: (key: string | undefined) => Target;
  readonly #connector: PlayedConnector;
  readonly #leases = new Map<string, Lease<Resource>>();
  readonly #signals = new Map<string, AbortController>();
  readonly #bodies = new Map<string, (error: Error) => void>();

  constructor({ connector = [], options, weights }: Scenario, time: VirtualTime) {
    this.#time = time;
    const tell = (event: string) => this.events.push(event);
    const played = this.#connector = new PlayedConnector(new Set(connector), tell);
    const common = {
      lifetimeJitter: 0,
      clock: { now: () => time.now, wall: time.clock },
      hooks: {
        onRetire: ({ reason, resource }: { reason: string; resource: Resource }) =>
          tell(`retire ${resource.number}: ${reason}`),
      },
      ...options,
    };
    if (weights === undefined) {
      const pool = this.#pool = new Pool(played.for(undefined), common);
      this.#at = () => pool;
    } else {
      const weight = (key: string) => weights[key] ?? 1;
      const pool = new KeyedPool((key: string) => played.for(key), { ...common, weight });
      this.#pool = pool;
      this.#at = (key) => key === undefined ? pool as unknown as Target : pool.at(key);
    }
  }

  async perform(operation: Operation): Promise<void> {
    const { do: verb, as = "", key, timeout, force } = operation;
    const lease = this.#leases.get(as);
    const target = this.#at(key);
    if (verb === "acquire") this.#acquire(operation);
    else if (verb === "tryAcquire") this.#tryAcquire(as, target);
    else if (verb === "use") this.#use(operation);
    else if (verb === "throw") this.#bodies.get(as)!(new Error("thrown"));
    else if (verb === "release") lease!.release();
    else if (verb === "discard") lease!.discard();
    else if (verb === "detach") lease!.detach();
    else if (verb === "abort") this.#signals.get(as)!.abort(new Error("aborted"));
    else if (verb === "wait") await this.#wait(operation.ms!);
    else if (verb === "leap") this.#time.leap(operation.ms!);
    else if (verb === "clear" || verb === "pause" || verb === "resume") target[verb]();
    else if (verb === "resize") this.#pool.resize(operation.count!);
    else if (verb === "warm") this.#tell(target.warm(operation.count!), "warmed");
    else if (verb === "close") {
      const options = { timeout: timeout ?? 10_000, force: force ?? false };
      this.#tell(this.#pool.close(options), "closed");
    } else this.#connector.perform(operation);
    await sameTurn();
  }

  /** Closes the pool by force; the events of that do not belong to the scenario. */
  async end(outcome: string[]): Promise<void> {
    this.outcome = outcome;
    this.#pool.close({ force: true });
    await this.#wait(20_000);
    if (this.#pool.stats.size > 0) outcome.push("the pool does not close");
    if (this.#time.pending > 0) outcome.push("a timer is left");
  }

  async #wait(ms: number): Promise<void> {
    const until = this.#time.now + ms;
    while (this.#time.advance(until)) await sameTurn();
  }

  #acquire({ as = "", key, timeout, fresh = false, priority = 0 }: Operation): void {
    const controller = new AbortController();
    this.#signals.set(as, controller);
    const limit = timeout === undefined ? {} : { timeout };
    const { signal } = controller;
    this.#at(key).acquire({ ...limit, fresh, priority, signal }).then(
      (lease) => this.#lend(as, lease),
      (error) => this.#refuse(as, error),
    );
  }

  #use({ as = "", key, retryStale = false }: Operation): void {
    const body = (lease: Lease<Resource>) => {
      this.#lend(as, lease);
      return new Promise<void>((_, reject) => this.#bodies.set(as, reject));
    };
    this.#at(key).use(body, { retryStale }).catch((error) => this.#refuse(as, error));
  }

  #tryAcquire(as: string, target: Target): void {
    const lease = target.tryAcquire();
    if (lease === undefined) this.events.push(`nothing for ${as}`);
    else this.#lend(as, lease);
  }

  #lend(as: string, lease: Lease<Resource>): void {
    this.#leases.set(as, lease);
    this.events.push(`lend ${lease.value.number} to ${as}`);
  }

  #refuse(as: string, error: Error): void {
    this.events.push(`refuse ${as}: ${error.name === "Error" ? error.message : error.name}`);
  }

  #tell(promise: Promise<unknown>, what: string): void {
    promise.then(
      (value) => this.events.push(value === undefined ? what : `${what} ${value}`),
      (error) => this.#refuse(what, error),
    );
  }
}

/** A connector that answers by its script and records its calls. */
class PlayedConnector {
  readonly #tell: (event: string) => void;
  readonly #answers = new Map<string, string>();
  readonly #resources: Resource[] = [];
  readonly #calls: Call[] = [];
  check?: (resource: Resource, context: ConnectorContext) => Promise<boolean>;
  reset?: (resource: Resource, context: ConnectorContext) => Promise<void>;
  watch?: (resource: Resource, context: WatchContext) => void;

  constructor(has: Set<string>, tell: (event: string) => void) {
    this.#tell = tell;
    if (has.has("check")) this.check = (resource) => this.#call("check", resource, () => true);
    if (has.has("reset")) this.reset = (resource) => this.#call("reset", resource, () => {});
    if (has.has("watch")) this.watch = (resource, { lost }) => void (resource.lost = lost);
  }

  readonly close = (resource: Resource): Promise<void> => this.#call("close", resource, () => {});
  readonly isBroken = (resource: Resource): boolean => resource.broken;
  readonly isStale = (resource: Resource): boolean => resource.stale;

  /** What a pool, or a key of it, dials with. */
  for(key: string | undefined): Connector<Resource> {
    return { ...this, connect: () => this.#dial(key === undefined ? "" : ` for ${key}`) };
  }

  #dial(purpose: string): Promise<Resource> {
    const resource = { number: this.#resources.length + 1, broken: false, stale: false };
    this.#resources.push(resource);
    return this.#call("connect", resource, () => resource, purpose);
  }

  perform({ do: verb, method, answer, resource: number, ms: _ms }: Operation): void {
    const resource = this.#resources[(number ?? 1) - 1]!;
    if (verb === "script") this.#answers.set(method!, answer!);
    else if (verb === "answer") this.#settle(`${method} ${number}`, answer === "ok");
    else if (verb === "break") resource.broken = true;
    else if (verb === "goStale") resource.stale = true;
    else if (verb === "lose") resource.lost!("hung up");
    else throw new Error(`There is no operation ${verb}`);
  }

  #settle(name: string, isOk: boolean): void {
    const index = this.#calls.findIndex((call) => call.name === name);
    if (index < 0) throw new Error(`${name} does not wait for an answer`);
    const [call] = this.#calls.splice(index, 1);
    if (isOk) call!.succeed();
    else call!.fail(new Error(`${name} failed`));
  }

  #call<R>(method: string, resource: Resource, value: () => R, purpose = ""): Promise<R> {
    const name = `${method} ${resource.number}`;
    this.#tell(name + purpose);
    const answer = this.#answers.get(method) ?? "ok";
    if (answer === "ok") return Promise.resolve(value());
    if (answer === "fail") return Promise.reject(new Error(`${name} failed`));
    return new Promise((resolve, reject) => {
      this.#calls.push({ name, succeed: () => resolve(value()), fail: reject });
    });
  }
}
