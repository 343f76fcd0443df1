/** Tests with real processes for every engine; run by `*_process_test.ts`. */

import { assert, assertEquals } from "@std/assert";
import type { Engine } from "../../cluster/mod.ts";
import { connectionsOf, Member, type MemberOptions, peakOf, spansOf } from "./_members.ts";

/** An engine that other processes and this one can reach. */
export interface Site extends AsyncDisposable {
  readonly engine: Engine;
  readonly options: Pick<MemberOptions, "port" | "kv">;
}

const KEY = "shared";
const LEASE_TIME = 3_000;

/** Registers the tests. */
export function testProcesses(
  name: string,
  open: () => Promise<Site>,
  { ignore }: { ignore: boolean },
): void {
  const test = (title: string, body: (site: Site) => Promise<void>) =>
    Deno.test({
      name: `${name}: ${title}`,
      ignore,
      async fn() {
        await using site = await open();
        await body(site);
      },
    });

  const join = (site: Site, permits: number, others: Partial<MemberOptions> = {}) =>
    Member.start({
      ...site.options,
      semaphore: { key: KEY, permits, leaseTime: LEASE_TIME },
      ...others,
    });

  /** Resolves when the engine has this count. */
  const count = async (site: Site, what: "held" | "waiting", expected: number) => {
    while ((await site.engine.status(KEY))[what] !== expected) await soon();
  };

  test("four processes, one a minute ahead, never hold more than 5 valid permits; after a SIGKILL there are 5 again within leaseTime", async (site) => {
    const PERMITS = 5;
    await using first = await join(site, PERMITS);
    await using second = await join(site, PERMITS);
    await using third = await join(site, PERMITS);
    await using ahead = await join(site, PERMITS, { ahead: 60_000 });
    const survivors = [second, third, ahead];
    await Promise.all(
      [first, ...survivors].map((member) => member.tell({ do: "loop", callers: 4, hold: 100 })),
    );
    const grants = (member: Member) => member.sights.filter(({ event }) => event === "got").length;
    for (const member of [first, ...survivors]) {
      await member.until(() => grants(member) >= 10);
    }
    // It is killed while it holds some.
    const seen = first.sights.length;
    await first.until(({ event, valid }) => event === "got" && valid === true, seen);
    const killedAt = await first.murder();
    const spans = () => survivors.flatMap(({ sights }) => spansOf(sights));
    const after = () => spans().filter(({ to }) => to > killedAt);
    await second.until(({ at }) => at > killedAt + LEASE_TIME);
    await Promise.all(survivors.map((member) => member.end()));
    const all = [...spans(), ...spansOf(first.sights)];
    assert(peakOf(all).peak <= PERMITS, `${peakOf(all).peak} were valid at once`);
    assertEquals(new Set(all.map(({ token }) => token)).size, all.length, "a token came twice");
    const again = peakOf(
      after().map(({ from, ...span }) => ({
        ...span,
        from: Math.max(from, killedAt),
      })),
    );
    assertEquals(again.peak, PERMITS);
    assert(again.at <= killedAt + LEASE_TIME, `only after ${again.at - killedAt} ms`);
    const status = await site.engine.status(KEY);
    assertEquals([status.held, status.waiting, status.peak], [0, 0, PERMITS]);
  });

  test("the connections of pools in four processes never exceed the permits, and every process is served", async (site) => {
    const PERMITS = 3;
    await using server = new EchoServer();
    const members = await Promise.all([0, 1, 2, 3].map(() => join(site, PERMITS)));
    try {
      for (const member of members) {
        await member.tell({ do: "connect", callers: 3, port: server.port });
      }
      for (const member of members) {
        let uses = 0;
        await member.until(({ event }) => event === "used" && ++uses === 40);
      }
      for (const member of members) await member.end();
    } finally {
      for (const member of members) await member[Symbol.asyncDispose]();
    }
    const connections = members.flatMap(({ sights }) => connectionsOf(sights));
    assertEquals(peakOf(connections).peak, PERMITS);
    assert(members.every(({ sights }) => connectionsOf(sights).length > 0));
    assertEquals((await site.engine.status(KEY)).held, 0);
  });

  test("callers of four processes are served in order of arrival", async (site) => {
    const members = await Promise.all([0, 1, 2, 3].map(() => join(site, 1)));
    try {
      const [holder] = members as [Member];
      await holder.tell({ do: "acquire", id: "first" });
      await holder.until(({ event }) => event === "got");
      const order = [2, 1, 3, 0, 1, 2, 3, 2, 0];
      for (const [i, member] of order.entries()) {
        await members[member]!.tell({ do: "acquire", id: `${i}` });
        await count(site, "waiting", i + 1);
      }
      await holder.tell({ do: "release", id: "first" });
      const tokens: number[] = [];
      for (const [i, index] of order.entries()) {
        const member = members[index]!;
        const got = await member.until(({ event, id }) => event === "got" && id === `${i}`);
        tokens.push(got.token!);
        await member.tell({ do: "release", id: `${i}` });
      }
      assertEquals(tokens, tokens.toSorted((a, b) => a - b));
      for (const member of members) await member.end();
    } finally {
      for (const member of members) await member[Symbol.asyncDispose]();
    }
  });

  test("a process stopped for longer than its lease finds its permit invalid when it wakes, and lost fires in that turn", async (site) => {
    await using stopped = await join(site, 1);
    await using other = await join(site, 1);
    await stopped.tell({ do: "acquire", id: "mine" });
    const { token } = await stopped.until(({ event }) => event === "got");
    stopped.kill("SIGSTOP");
    await other.tell({ do: "acquire", id: "mine" });
    const next = await other.until(({ event }) => event === "got");
    assert(next.token! > token!);
    const before = stopped.sights.length;
    stopped.kill("SIGCONT");
    const woken = await stopped.until(({ event }) => event === "sees" || event === "lost", before);
    assert(woken.event === "lost" || woken.valid === false, "it was valid after it was lost");
    await stopped.until(({ event }) => event === "lost", before);
    const sights = stopped.sights.slice(before);
    // Ticks are 10 ms apart, so the first turn is over by the second.
    const ticks = sights.filter(({ event }) => event === "sees");
    const lostAt = sights.findIndex(({ event }) => event === "lost");
    assert(sights.slice(0, lostAt).filter(({ event }) => event === "sees").length <= 1);
    assert(ticks.every(({ valid }) => valid === false));
    await stopped.end();
    await other.end();
    const spans = [...spansOf(stopped.sights), ...spansOf(other.sights)];
    assertEquals(peakOf(spans).peak, 1);
  });
}

/** Sends back what it receives. */
class EchoServer implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #serving = this.#serve();

  get port(): number {
    return this.#listener.addr.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#serving;
  }

  async #serve(): Promise<void> {
    const serving: Promise<void>[] = [];
    for await (const conn of this.#listener) {
      serving.push(conn.readable.pipeTo(conn.writable).catch(() => {}));
    }
    await Promise.all(serving);
  }
}

function soon(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 10));
}
