import { assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  type ConnectContext,
  type EndpointOptions,
  type EndpointsConnector,
  type failover,
  Pool,
  type PoolOptions,
} from "../../mod.ts";
import { microtasks, Outcome } from "./scene.ts";
import { ScriptedConnector, type Thing } from "./scripted_connector.ts";
import { contextOf } from "./connect_context.ts";
import { clockOf } from "./clocks.ts";

const DELAYS: EndpointOptions = { minDelay: 100, maxDelay: 400, attemptDelay: 1_000 };

/** Three endpoints in fake time, a connector of them, and its dials. */
export class Stage implements Disposable {
  readonly time = new FakeTime();
  readonly clock = () => this.time.now;
  readonly members = Array.from(
    { length: 3 },
    () => new ScriptedConnector({}, ["check", "reset"]),
  );
  readonly a = this.members[0]!;
  readonly b = this.members[1]!;
  readonly c = this.members[2]!;
  readonly connector: EndpointsConnector<Thing>;

  /** `prepare` may add methods to the endpoints. */
  constructor(
    combine: typeof failover,
    options: EndpointOptions = {},
    prepare: (members: ScriptedConnector[]) => void = () => {},
  ) {
    prepare(this.members);
    this.connector = combine(this.members, { ...DELAYS, clock: { now: this.clock }, ...options });
  }

  [Symbol.dispose](): void {
    const isTimerLeft = this.time.next();
    this.time.restore();
    assertEquals(isTimerLeft, false, "no timer is left");
  }

  dial(
    { signal = new AbortController().signal, ...context }: Partial<ConnectContext> = {},
  ): Outcome<Thing> {
    return new Outcome(
      Promise.resolve(this.connector.connect({ ...contextOf(signal), ...context })),
    );
  }

  /** Fails the first endpoint and waits for its delay, so that the next dial is a probe. */
  async losePreferred(): Promise<void> {
    this.a.script.connect = "error";
    await this.dialNow();
    await this.elapse(100, 100);
  }

  /** Dials, and returns the endpoint that answered at once: "a", "b", "c" or "". */
  async dialNow(): Promise<string> {
    const outcome = this.dial();
    await microtasks();
    return this.opener(outcome);
  }

  dialTogether(count: number): Outcome<Thing>[] {
    return Array.from({ length: count }, () => this.dial());
  }

  openersOf(outcomes: Outcome<Thing>[]): string {
    return outcomes.map((outcome) => this.opener(outcome)).join("");
  }

  opener({ value }: Outcome<Thing>): string {
    return value === undefined
      ? ""
      : "abc"[this.members.findIndex((m) => m.things.includes(value))]!;
  }

  /** The number of dials of each endpoint. */
  get dials(): number[] {
    return this.members.map((member) => member.count("connect"));
  }

  get up(): boolean[] {
    return this.connector.endpoints.map(({ up }) => up);
  }

  pool(options: PoolOptions): Pool<Thing> {
    return new Pool(this.connector, {
      clock: clockOf(this.clock),
      checkAfter: Infinity,
      ...options,
    });
  }

  async elapse(duration: number, step = 10): Promise<void> {
    await microtasks();
    for (let elapsed = 0; elapsed < duration; elapsed += step) {
      this.time.tick(step);
      await microtasks();
    }
  }
}
