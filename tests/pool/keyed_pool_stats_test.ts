import { assertEquals } from "@std/assert";
import { KeyedPool, type KeyedPoolStats, type Lease, type PoolStats } from "../../mod.ts";
import { sameTurn } from "../support/until.ts";

type AnyKeyedPool = KeyedPool<string, unknown, Lease<unknown>>;

const GAUGES = ["leased", "idle", "connecting", "preparing", "closing", "waiting", "size"] as const;

const gaugesOf = (stats: PoolStats | KeyedPoolStats) => GAUGES.map((name) => stats[name]);

/** The stats of all keys must add up to those of the pool at every moment. */
class Auditor {
  readonly faults: string[] = [];

  audit(pool: AnyKeyedPool): void {
    const { stats } = pool;
    const present = pool.keys().map((key) => pool.statsOf(key)!);
    const sums = GAUGES.map((name) => present.reduce((sum, each) => sum + each[name], 0));
    this.#expect(sums, gaugesOf(stats));
    const { leased, idle, connecting, preparing, closing } = stats;
    this.#expect(leased + idle + connecting + preparing + closing, stats.size);
    for (const { shared } of present) {
      this.#expect(shared, { size: stats.size, maxSize: stats.maxSize });
    }
  }

  #expect(actual: unknown, expected: unknown): void {
    const [is, shouldBe] = [JSON.stringify(actual), JSON.stringify(expected)];
    if (is !== shouldBe) this.faults.push(`${is} instead of ${shouldBe}`);
  }
}

Deno.test("KeyedPool: the stats of all keys add up to those of the pool, also inside hooks and connectors", async () => {
  const auditor = new Auditor();
  const audit = () => auditor.audit(pool);
  const pool: AnyKeyedPool = new KeyedPool((_key: string) => ({
    connect: () => {
      audit();
      return {};
    },
    reset: audit,
    close: audit,
  }), {
    maxSize: 4,
    hooks: { onConnect: audit, onAcquire: audit, onRelease: audit, onRetire: audit },
  });
  await pool.warm("a", 3);
  await pool.warm("b", 3);
  await Promise.all(["a", "b", "c", "c", "d"].map((key) => pool.use(key, audit)));
  pool.resize(2);
  pool.at("c").clear();
  const held = await pool.acquire("a", { fresh: true });
  held.discard();
  audit();
  await sameTurn();
  await pool.close();
  audit();
  assertEquals(auditor.faults, []);
});
