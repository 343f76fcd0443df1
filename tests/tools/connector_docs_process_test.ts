/** The table of `docs/writing_a_connector.md`, compared with the interface and with a pool. */
import { assertEquals } from "@std/assert";
import { type Connector, Lease, type LeaseSlot, Pool } from "../../mod.ts";
import { needs, PROCESS } from "../support/needs.ts";
import { until } from "../support/until.ts";

const read = (path: string) => Deno.readTextFile(new URL(`../../${path}`, import.meta.url));

/** The members in the order of the table. */
async function documented(): Promise<string[]> {
  const page = await read("docs/writing_a_connector.md");
  return [...page.matchAll(/^\| `(\w+)(?:\(.*?\))?` +\|/gm)].map(([, name]) => name!);
}

Deno.test({
  ...needs(
    "docs: the table of a connector's members has each member of the interface once",
    PROCESS,
  ),
  async fn() {
    const source = await read("pool/connector.ts");
    const [, body] = /^export interface Connector<.*?\{\n(.*?)^\}/ms.exec(source)!;
    const members = [...body!.matchAll(/^ {2}(?:readonly )?(\w+)\??[(:]/gm)].map(([, name]) =>
      name!
    );
    assertEquals((await documented()).toSorted(), members.toSorted());
  },
});

Deno.test({
  ...needs("docs: a connector's members are called in the order of the table", PROCESS),
  async fn() {
    const calls: string[] = [];
    const note = <A>(name: string, answer: A) => () => {
      calls.push(name);
      return answer;
    };
    const connector: Connector<object> = {
      admit: note("admit", { release() {}, [Symbol.dispose]() {} }),
      connect: note("connect", {}),
      init: note("init", undefined),
      isRetryable: note("isRetryable", true),
      lease: (slot: LeaseSlot<object>) => {
        calls.push("lease");
        return new Lease(slot);
      },
      isStale: note("isStale", false),
      isFatal: note("isFatal", false),
      isBroken: note("isBroken", false),
      reset: note("reset", undefined),
      watch: note("watch", undefined),
      probe: note("probe", Promise.resolve()),
      unwatch: note("unwatch", undefined),
      check: note("check", true),
      close: note("close", undefined),
    };
    await using pool = new Pool(connector, { maxSize: 1, checkAfter: 0 });
    (await pool.acquire()).release();
    await until(() => pool.stats.idle === 1);
    const dial = calls.slice(0, calls.indexOf("lease"));
    const fails = () => {
      calls.length = 0;
      throw new Error("fails");
    };
    await pool.use(fails, { retryStale: true }).catch(() => {});
    await until(() => pool.stats.idle === 1);
    const end = calls.filter((call, i) => call !== "isBroken" || calls[i - 1] !== "reset");
    calls.length = 0;
    using lease = await pool.acquire();
    const loan = calls.filter((call) => call !== "isBroken" && call !== "lease");
    calls.length = 0;
    lease.discard("done");
    await until(() => calls.length > 0);
    const order = [...dial, ...end, ...loan, ...calls];
    const apart = ["place", "isRetryable", "lease", "lingering"]; // read, or called on other occasions
    assertEquals(order, (await documented()).filter((name) => !apart.includes(name)));
  },
});
