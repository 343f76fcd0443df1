/**
 * The required behaviour of every engine. For your own engine:
 *
 *     import { testEngine } from "./engine_conformance.ts";
 *     testEngine("PostgreSQL", async () => ({ engines: [a, b], [Symbol.asyncDispose]: … }));
 *
 * @module
 */

import { assert, assertEquals, assertGreater } from "@std/assert";
import { delay } from "@std/async";
import type { Engine, ExchangeReply, ExchangeRequest, Grant } from "../../cluster/engine.ts";

/** Two engines over the same records, as in two processes, and how to end them. */
export interface EngineFixture extends AsyncDisposable {
  readonly engines: readonly [Engine, Engine];
}

/** Options of the registered tests. */
export interface ConformanceOptions {
  readonly ignore?: boolean;
}

/** Longer than any test. */
const LONG = 60_000;
const SHORT = 400;

/** One session over one of the engines. */
class Party {
  readonly session: string = crypto.randomUUID();
  readonly #engine: Engine;
  readonly #key: string;

  constructor(engine: Engine, key: string) {
    this.#engine = engine;
    this.#key = key;
  }

  say(request: Partial<ExchangeRequest> = {}): Promise<ExchangeReply> {
    const { signal } = new AbortController();
    return this.#engine.exchange(this.#key, {
      session: this.session,
      permits: 2,
      ttl: LONG,
      release: [],
      cancel: [],
      attempt: 0,
      leave: false,
      ...request,
    }, { signal });
  }

  async wake(): Promise<void> {
    await this.#engine.wake(this.#key, this.session, { signal: new AbortController().signal });
  }

  sleep(signal: AbortSignal): Promise<void> {
    return this.#engine.wake(this.#key, this.session, { signal });
  }

  status() {
    return this.#engine.status(this.#key);
  }
}

interface Scene {
  readonly a: Party;
  readonly b: Party;
  readonly c: Party;
  /** A session with another key. */
  readonly elsewhere: Party;
}

const tokens = (grants: readonly Grant[]) => grants.map(({ token }) => token);
const want = (entry: number, count = 1) => ({ acquire: { entry, count } });

const CASES: Record<string, (scene: Scene) => Promise<void>> = {
  "grants what is free, with growing tokens, and queues the rest": async ({ a, b }) => {
    const first = await a.say(want(1));
    assertEquals(first.known, false);
    assertEquals(first.granted.length, 1);
    const second = await b.say(want(1, 3));
    assertEquals(second.granted.length, 1);
    assertEquals(second.waiting, 2);
    assertGreater(second.granted[0]!.token, first.granted[0]!.token);
    assertEquals(second.granted[0]!.entry, 1);
    assert(Number.isSafeInteger(first.granted[0]!.token));
    const status = await a.status();
    assertEquals([status.held, status.waiting, status.sessions, status.peak], [2, 2, 2, 2]);
    assertEquals(status.fence, second.granted[0]!.token);
  },

  "serves the queue first come, first served, whichever session releases": async ({ a, b, c }) => {
    const { granted } = await a.say(want(1, 2));
    await b.say(want(1));
    await c.say(want(1));
    await b.say(want(2));
    await a.say({ release: tokens(granted).slice(0, 1) });
    assertEquals((await c.say()).granted, []);
    const [grant] = (await b.say()).granted;
    assertEquals(grant!.entry, 1);
    await b.say({ release: [grant!.token] });
    assertEquals((await b.say()).granted, []);
    assertEquals((await c.say()).granted.length, 1);
  },

  "lets nobody overtake the queue": async ({ a, b, c }) => {
    const { granted } = await a.say(want(1, 2));
    await b.say(want(1));
    const reply = await c.say({ release: [], ...want(1), attempt: 1 });
    assertEquals(reply.granted, []);
    // A session that releases and acquires in the same exchange also waits behind it.
    const own = await a.say({ release: tokens(granted).slice(0, 1), ...want(2) });
    assertEquals(own.granted, []);
    assertEquals((await b.say()).granted.length, 1);
  },

  "serves an attempt only if a permit is free": async ({ a, b }) => {
    const reply = await a.say({ attempt: 3 });
    assertEquals(reply.granted.map(({ entry }) => entry), [0, 0]);
    assertEquals(reply.waiting, 0);
    assertEquals((await b.say({ attempt: 1 })).granted, []);
    await a.say({ release: tokens(reply.granted) });
    assertEquals((await b.say({ attempt: 1 })).granted.length, 1);
  },

  "tells a grant once, and all of it on request": async ({ a, b }) => {
    const { granted } = await a.say(want(1, 2));
    await b.say(want(7, 2));
    await a.say({ release: tokens(granted) });
    const told = await b.say();
    assertEquals(told.granted.map(({ entry }) => entry), [7, 7]);
    assertEquals(told.held, undefined);
    const again = await b.say({ reconcile: [7] });
    assertEquals(again.granted, []);
    assertEquals(tokens(again.held!).sort(), tokens(told.granted).sort());
    assertEquals(again.queued, []);
  },

  "says what is left of the entries that it is asked for": async ({ a, b }) => {
    await a.say(want(1, 2));
    await b.say(want(1, 3));
    await b.say(want(2, 4));
    const reply = await b.say({ reconcile: [1, 2, 3], ...want(4, 5) });
    assertEquals(reply.held, []);
    assertEquals(
      [...reply.queued!].sort((x, y) => x.entry - y.entry),
      [{ entry: 1, count: 3 }, { entry: 2, count: 4 }, { entry: 4, count: 5 }],
    );
  },

  "takes back what is cancelled": async ({ a, b, c }) => {
    const { granted } = await a.say(want(1, 2));
    await b.say(want(1, 3));
    await b.say(want(2));
    await c.say(want(1));
    const reply = await b.say({ cancel: [{ entry: 1, count: 2 }, { entry: 2, count: 1 }] });
    assertEquals(reply.waiting, 2);
    await a.say({ release: tokens(granted) });
    assertEquals((await b.say()).granted.map(({ entry }) => entry), [1]);
    assertEquals((await c.say()).granted.length, 1);
    assertEquals((await b.say({ cancel: [{ entry: 1, count: 1 }] })).waiting, 0);
  },

  "releases only what the session holds, and only once": async ({ a, b, c }) => {
    const [first] = tokens((await a.say(want(1))).granted);
    const [second] = tokens((await b.say(want(1))).granted);
    await c.say(want(1));
    await b.say({ release: [first!, 12345] });
    assertEquals((await c.say()).granted, []);
    await b.say({ release: [second!] });
    await b.say({ release: [second!] });
    assertEquals((await c.say()).granted.length, 1);
    assertEquals((await a.status()).held, 2);
  },

  "wakes a session that was granted a permit, at once or before it sleeps": async ({ a, b }) => {
    const { granted } = await a.say(want(1, 2));
    await b.say(want(1));
    const woken = b.wake();
    await a.say({ release: tokens(granted).slice(0, 1) });
    await woken;
    assertEquals((await b.say()).granted.length, 1);
    await b.say(want(2));
    await a.say({ release: tokens(granted).slice(1) });
    await b.wake();
    assertEquals((await b.say()).granted.length, 1);
  },

  "leaves nothing in flight when a sleep is aborted": async ({ a, b }) => {
    await a.say(want(1, 2));
    await b.say(want(1));
    const controller = new AbortController();
    const sleeps = [a.sleep(controller.signal), b.sleep(controller.signal)];
    await delay(20);
    controller.abort();
    await Promise.all(sleeps);
  },

  "takes away by its own clock what a silent session holds and waits for": async ({ a, b, c }) => {
    await a.say({ ...want(1, 2), ttl: SHORT });
    await b.say({ ...want(1), ttl: SHORT });
    const waits = await c.say(want(1));
    assert(waits.nextExpiry > 0 && waits.nextExpiry <= SHORT, `${waits.nextExpiry}`);
    assertEquals(waits.granted, []);
    const granted: Grant[] = [];
    const isAlone = async () => {
      const { held, waiting, sessions } = await c.status();
      return held === 1 && waiting === 0 && sessions === 1;
    };
    while (granted.length === 0 || !await isAlone()) {
      await delay(20);
      granted.push(...(await c.say()).granted);
    }
    assertEquals(granted.length, 1);
    const back = await a.say({ reconcile: [1] });
    assertEquals([back.known, back.held, back.queued], [false, [], []]);
  },

  "keeps what a session holds for as long as it comes back in time": async ({ a, b }) => {
    const { granted } = await a.say({ ...want(1, 2), ttl: SHORT * 3 });
    await b.say({ ...want(1), ttl: SHORT * 3 });
    for (let i = 0; i < 20; i++) {
      await delay(SHORT / 4);
      assertEquals((await a.say({ ttl: SHORT * 3 })).known, true);
      assertEquals((await b.say({ ttl: SHORT * 3 })).granted, []);
    }
    const { held } = await a.say({ reconcile: [], ttl: SHORT * 3 });
    assertEquals(tokens(held!).sort(), tokens(granted).sort());
  },

  "forgets a session that leaves, unless it holds or waits for something": async ({ a, b }) => {
    const { granted } = await a.say({ ...want(1), leave: true });
    assertEquals((await a.say({ leave: true })).known, true);
    await a.say({ release: tokens(granted), leave: true });
    assertEquals((await b.status()).sessions, 0);
    assertEquals((await a.say()).known, false);
    await b.say(want(1, 3));
    await b.say({ leave: true });
    assertEquals((await b.say()).known, true);
  },

  "asks one offering session at a time, and the one not asked for longest first": async (
    { a, b, c },
  ) => {
    const first = await a.say({ ...want(1), offer: true });
    await b.say({ ...want(1), offer: true });
    const waits = await c.say(want(1));
    assertEquals([waits.asked, waits.granted], [false, []]);
    await a.wake();
    const asked = async () => {
      const replies = [await a.say({ offer: true }), await b.say({ offer: true })];
      return replies.map((reply) => reply.asked);
    };
    assertEquals(await asked(), [true, false]);
    assertEquals(await asked(), [true, false]);
    // The first has nothing to give up, so the second is asked; then the first offers again.
    await a.say({ offer: false });
    assertEquals((await b.say({ offer: true })).asked, true);
    assertEquals((await a.say({ offer: true })).asked, false);
    await a.say({ release: tokens(first.granted), offer: true });
    assertEquals((await c.say()).granted.length, 1);
    assertEquals(await asked(), [false, false]);
  },

  "asks nobody any more once nobody waits": async ({ a, b }) => {
    await a.say({ ...want(1, 2), offer: true });
    await b.say(want(1));
    assertEquals((await a.say({ offer: true })).asked, true);
    await b.say({ cancel: [{ entry: 1, count: 1 }] });
    assertEquals((await a.say({ offer: true })).asked, false);
  },

  "counts right under many sessions at once": async ({ a, b, c }) => {
    const parties = [a, b, c];
    const held = new Map(parties.map((party) => [party, [] as number[]]));
    const seen = new Set<number>();
    await Promise.all(parties.map(async (party) => {
      const mine = held.get(party)!;
      for (let entry = 1; entry <= 25; entry++) {
        const { granted } = await party.say({ release: mine.splice(0), ...want(entry) });
        for (const token of tokens(granted)) {
          assert(!seen.has(token), "a token was given twice");
          seen.add(token);
          mine.push(token);
        }
      }
    }));
    const status = await a.status();
    assert(status.peak <= 2 && status.held <= 2);
    // The remaining waiters are granted as permits are released, and nothing else.
    for (let left = 75; left > 0; left--) {
      for (const party of parties) {
        const mine = held.get(party)!;
        const { granted } = await party.say({ release: mine.splice(0) });
        for (const token of tokens(granted)) {
          seen.add(token);
          mine.push(token);
        }
      }
      if (seen.size === 75) break;
    }
    assertEquals(seen.size, 75);
    assertEquals((await a.status()).peak, 2);
  },

  "keeps keys apart": async ({ a, elsewhere }) => {
    assertEquals((await a.say(want(1, 2))).granted.length, 2);
    assertEquals((await elsewhere.say(want(1, 2))).granted.length, 2);
    assertEquals([(await a.status()).held, (await elsewhere.status()).held], [2, 2]);
  },
};

/** Registers the tests of an engine. Each has its own records. */
export function testEngine(
  name: string,
  start: () => Promise<EngineFixture>,
  options: ConformanceOptions = {},
): void {
  for (const [title, body] of Object.entries(CASES)) {
    Deno.test({
      name: `${name}: ${title}`,
      ignore: options.ignore ?? false,
      async fn() {
        await using fixture = await start();
        const [here, there] = fixture.engines;
        const key = `test ${crypto.randomUUID()}`;
        const scene = {
          a: new Party(here, key),
          b: new Party(there, key),
          c: new Party(here, key),
          elsewhere: new Party(there, `${key}, elsewhere`),
        };
        await body(scene);
      },
    });
  }
}
