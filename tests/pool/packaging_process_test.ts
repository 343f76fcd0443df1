import { assertEquals, assertStringIncludes } from "@std/assert";
import { needs, PROCESS } from "../support/needs.ts";

const mod = new URL("../../mod.ts", import.meta.url).href;

/** The exports of mod.ts except types. */
const exports = [
  "KeyedPool",
  "Lease",
  "LeaseReleasedError",
  "Pool",
  "PoolClosedError",
  "PoolError",
  "PoolExhaustedError",
  "PoolOverloadedError",
  "PoolTimeoutError",
  "Semaphore",
  "Socket",
  "SocketLease",
  "TaskDeadlockError",
  "TaskPool",
  "TaskPoolClosedError",
  "TaskQueueFullError",
  "TaskTimeoutError",
  "TlsLease",
  "TlsSocket",
  "WebSocketClosedError",
  "WebSocketConnectError",
  "WebSocketConnection",
  "WebSocketLease",
  "failover",
  "roundRobin",
  "tcp",
  "tls",
  "unix",
  "webSocket",
];

/** Runs a program that has no permission and finds an empty cache and no network. */
async function runAlone(program: string): Promise<{ code: number; output: string }> {
  const directory = await Deno.makeTempDir();
  try {
    const file = `${directory}/main.ts`;
    await Deno.writeTextFile(file, program);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--quiet", "--cached-only", file],
      env: { DENO_DIR: `${directory}/cache`, NO_COLOR: "1" },
    }).output();
    return {
      code,
      output: [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join(""),
    };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test({
  ...needs("mod.ts loads with no permission, an empty cache and no network", PROCESS),
  async fn() {
    const result = await runAlone(`import * as sockpool from ${JSON.stringify(mod)};
      console.log(Object.keys(sockpool).sort().join(" "));`);
    assertEquals(result, {
      code: 0,
      output: exports.join(" ") + "\n",
    });
  },
});

Deno.test({
  ...needs("Pool: one that is never closed does not keep the process alive", PROCESS),
  async fn() {
    const result = await runAlone(`import { Pool } from ${JSON.stringify(mod)};
      const pool = new Pool(() => ({}), { maxSize: 1 });
      const lease = await pool.acquire();
      const waiter = pool.acquire();
      lease.release();
      (await waiter).release();
      console.log(String(pool));`);
    assertEquals(result, { code: 0, output: "Pool(leased 0, idle 1, waiting 0, max 1)\n" });
  },
});

Deno.test({
  ...needs("Pool.acquire(): a waiter keeps the process alive until its deadline", PROCESS),
  async fn() {
    const { code, output } = await runAlone(`import { Pool } from ${JSON.stringify(mod)};
      const pool = new Pool(() => ({}), { maxSize: 1 });
      await pool.acquire();
      await pool.acquire({ timeout: 50 });`);
    assertEquals(code, 1);
    assertStringIncludes(output, "PoolTimeoutError: No resource became free within 50 ms");
  },
});
