import { assert, assertEquals, assertLess, assertLessOrEqual } from "@std/assert";
import { delay } from "@std/async";
import { Pool, type Socket, type SocketLease, tcp } from "../../mod.ts";
import { EchoProcess } from "../support/child.ts";
import { needs, PROCESS } from "../support/needs.ts";
import { roundTrip } from "../support/round_trip.ts";
import { timed, until } from "../support/until.ts";

const CALLERS = 50;
const MAX_SIZE = 10;
const RETRY = { attempts: Infinity, minDelay: 20, maxDelay: 200 };

type SocketPool = Pool<Socket<Deno.NetAddr>, SocketLease<Deno.NetAddr>>;

/** Callers that make one request after the other, even if some fail. Disposing of them closes their pool. */
class Callers implements AsyncDisposable {
  readonly replies = new Array<number>(CALLERS).fill(0);
  readonly errors: unknown[] = [];
  readonly #pool: SocketPool;
  readonly #running: Promise<void[]>;

  constructor(pool: SocketPool) {
    this.#pool = pool;
    this.#running = Promise.all(this.replies.map((_, i) => this.#call(i)));
  }

  /** Waits until each caller has another reply. */
  async served(): Promise<void> {
    const before = [...this.replies];
    await until(() => this.replies.every((count, i) => count > before[i]!));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.close();
    await this.#running;
  }

  async #call(i: number): Promise<void> {
    for (let n = 0; !this.#pool.closed; n++) {
      const text = `request ${n} of ${i}`;
      try {
        assertEquals(await this.#pool.use((conn) => roundTrip(conn, text)), text);
        this.replies[i]!++;
      } catch (error) {
        this.errors.push(error);
      }
      await delay(1);
    }
  }
}

/** As many requests as there are callers, over one connection without a pool. */
async function callBare(port: number): Promise<void> {
  using conn = await Deno.connect({ port });
  for (let i = 0; i < CALLERS; i++) {
    await conn.write(new Uint8Array(1));
    await conn.read(new Uint8Array(1));
  }
}

Deno.test({
  ...needs(
    "A server killed and restarted under 50 callers fails only the requests in flight",
    PROCESS,
  ),
  async fn() {
    await using server = await EchoProcess.start();
    const pool = new Pool(tcp({ port: server.port }), { maxSize: MAX_SIZE, retry: RETRY });
    await using callers = new Callers(pool);
    await callers.served();
    assertEquals(callers.errors, []);

    await server.kill();
    await until(() => pool.stats.dials.failed >= MAX_SIZE + 3);
    await until(() => pool.stats.waiting === CALLERS);
    const lost = callers.errors.length;
    // One for each connection that the server had, or that the kernel accepted while it died.
    const { ok } = pool.stats.dials;
    assertLessOrEqual(lost, ok, "the requests in flight");
    assertLessOrEqual(ok, 2 * MAX_SIZE);

    await server.start();
    const [{ turns }, control] = await Promise.all([
      timed(() => callers.served()),
      timed(() => callBare(server.port)),
    ]);
    assertLess(turns, RETRY.maxDelay + 200 + 5 * control.turns);
    await callers.served();
    assertEquals(callers.errors.length, lost, "once it is back nothing is lost");
    assertLessOrEqual(pool.stats.size, MAX_SIZE);
  },
});

Deno.test({
  ...needs(
    "The death of a server is noticed while its pool is idle, and fails no request",
    PROCESS,
  ),
  async fn() {
    await using server = await EchoProcess.start();
    await using pool = new Pool(tcp({ port: server.port }), { retry: RETRY, minIdle: 3 });
    await until(() => pool.stats.idle === 3);
    await server.kill();
    await until(() => pool.stats.idle === 0, { within: 100 });
    await server.start();
    assertEquals(await pool.use((conn) => roundTrip(conn, "ping")), "ping");
    await until(() => pool.stats.idle >= 3);
    assert(pool.stats.retired.lost >= 3);
  },
});
