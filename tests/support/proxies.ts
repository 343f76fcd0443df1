/** Copies bytes from each end to the other. */
async function join(a: Deno.Conn, b: Deno.Conn): Promise<void> {
  await Promise.allSettled([a.readable.pipeTo(b.writable), b.readable.pipeTo(a.writable)]);
}

/** The protocols of a proxy. */
type Negotiate = (proxy: TestProxy, conn: Deno.Conn) => Promise<Target | undefined>;

interface Target {
  hostname: string;
  port: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A proxy on loopback that resolves every name to 127.0.0.1. Disposing of it closes all. */
export class TestProxy implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #negotiate: Negotiate;
  readonly #running: Promise<void>;
  readonly #conns: Deno.Conn[] = [];
  readonly #serving: Promise<void>[] = [];
  /** The requested targets. */
  readonly targets: string[] = [];
  /** The logins of the clients. */
  readonly logins: string[] = [];
  /** The required login, as `user:password`. */
  readonly login: string | undefined;

  private constructor(negotiate: Negotiate, login: string | undefined) {
    this.#negotiate = negotiate;
    this.login = login;
    this.#running = this.#run();
  }

  static socks(login?: string): TestProxy {
    return new TestProxy(negotiateSocks, login);
  }

  static http(login?: string): TestProxy {
    return new TestProxy(negotiateHttp, login);
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#running;
    for (const conn of this.#conns) conn[Symbol.dispose]();
    await Promise.all(this.#serving);
  }

  async #run(): Promise<void> {
    for await (const conn of this.#listener) {
      this.#conns.push(conn);
      this.#serving.push(this.#serve(conn).catch(() => {}).finally(() => conn[Symbol.dispose]()));
    }
  }

  async #serve(conn: Deno.Conn): Promise<void> {
    const target = await this.#negotiate(this, conn);
    if (target === undefined) return;
    this.targets.push(`${target.hostname}:${target.port}`);
    using upstream = await Deno.connect({ port: target.port });
    upstream.setNoDelay(true);
    this.#conns.push(upstream);
    await join(conn, upstream);
  }
}

async function exactly(conn: Deno.Conn, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    const read = await conn.read(bytes.subarray(at));
    if (read === null) throw new Error("The client is gone");
    at += read;
  }
  return bytes;
}

async function negotiateSocks(proxy: TestProxy, conn: Deno.Conn): Promise<Target | undefined> {
  const [, count] = await exactly(conn, 2);
  const methods = await exactly(conn, count!);
  const method = proxy.login === undefined ? 0 : 2;
  if (!methods.includes(method)) return void await conn.write(Uint8Array.of(5, 255));
  await conn.write(Uint8Array.of(5, method));
  if (method === 2) {
    const user = await exactly(conn, (await exactly(conn, 2))[1]!);
    const password = await exactly(conn, (await exactly(conn, 1))[0]!);
    const login = `${decoder.decode(user)}:${decoder.decode(password)}`;
    proxy.logins.push(login);
    await conn.write(Uint8Array.of(1, login === proxy.login ? 0 : 1));
    if (login !== proxy.login) return undefined;
  }
  const [, , , type, length] = await exactly(conn, 5);
  if (type !== 3) throw new Error("The client resolves names itself");
  const hostname = decoder.decode(await exactly(conn, length!));
  const [high, low] = await exactly(conn, 2);
  const reply = hostname === "refused.test" ? 5 : 0;
  await conn.write(Uint8Array.of(5, reply, 0, 1, 0, 0, 0, 0, 0, 0));
  return reply === 0 ? { hostname, port: high! * 256 + low! } : undefined;
}

async function negotiateHttp(proxy: TestProxy, conn: Deno.Conn): Promise<Target | undefined> {
  let head = "";
  while (!head.endsWith("\r\n\r\n")) head += decoder.decode(await exactly(conn, 1));
  const login = /^proxy-authorization: basic (.*)$/im.exec(head)?.[1];
  if (login !== undefined) proxy.logins.push(decoder.decode(Uint8Array.fromBase64(login.trim())));
  const isAllowed = proxy.login === undefined || proxy.logins.at(-1) === proxy.login;
  const [, hostname, port] = /^CONNECT (.*):(\d+) HTTP/.exec(head) ?? [];
  if (!head.includes(`\r\nHost: ${hostname}:${port}\r\n`)) throw new Error("Another host");
  const status = !isAllowed ? "407 Login" : hostname === "refused.test" ? "502 Bad" : "200 OK";
  await conn.write(encoder.encode(`HTTP/1.1 ${status}\r\nVia: test\r\n\r\n`));
  return status === "200 OK" ? { hostname: hostname!, port: Number(port) } : undefined;
}
