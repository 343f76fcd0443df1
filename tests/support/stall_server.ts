import { certs } from "./tls_server.ts";

/** The transports of a {@linkcode StallServer}. */
export type StallTransport = "tcp" | "tls" | "unix";

/** Its commands, which apply to all its clients. */
export type StallCommand = "end" | "stray";

interface Plan {
  flags: Int32Array;
  transport: StallTransport;
  delay: number;
  path: string;
  cert: string;
  key: string;
}

const DONE = 0;

/**
 * An echo server on its own thread, which goes on while the event loop of the test is
 * blocked. Disposing of it ends the thread.
 */
export class StallServer implements Disposable {
  readonly #worker: Worker;
  readonly #flags: Int32Array;
  readonly port: number;

  private constructor(worker: Worker, flags: Int32Array, port: number) {
    this.#worker = worker;
    this.#flags = flags;
    this.port = port;
  }

  /** `delay`: the milliseconds before each answer. */
  static async start(
    transport: StallTransport,
    { delay = 0, path = "" } = {},
  ): Promise<StallServer> {
    // As text, since loading a file would need another permission.
    const code = `(${serveInWorker})();`;
    const url = `data:text/javascript,${encodeURIComponent(code)}`;
    const worker = new Worker(url, { type: "module" });
    const flags = new Int32Array(new SharedArrayBuffer(4));
    const { server: cert, serverKey: key } = certs;
    worker.postMessage({ flags, transport, delay, path, cert, key });
    const port = await new Promise<number>((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
    });
    return new StallServer(worker, flags, port);
  }

  /** Sends the server a command. */
  tell(command: StallCommand): void {
    this.#worker.postMessage(command);
  }

  /** Sends the server a command, and blocks the event loop until it is done, and for at least `duration` milliseconds. */
  stallDuring(command: StallCommand, duration: number): void {
    Atomics.store(this.#flags, DONE, 0);
    this.#worker.postMessage(command);
    const end = performance.now() + duration;
    while (Atomics.load(this.#flags, DONE) === 0 || performance.now() < end);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

/** Blocks the event loop. */
export function stall(duration: number): void {
  const end = performance.now() + duration;
  while (performance.now() < end);
}

/** The code of the thread. It uses nothing from its surroundings. */
function serveInWorker(): void {
  const scope = globalThis as unknown as {
    onmessage: (event: MessageEvent) => void;
    postMessage(message: unknown): void;
  };
  const conns = new Set<Deno.Conn>();

  function listen({ transport, path, cert, key }: Plan): Deno.Listener {
    const address = { hostname: "127.0.0.1", port: 0 };
    if (transport === "unix") return Deno.listen({ transport, path });
    return transport === "tcp" ? Deno.listen(address) : Deno.listenTls({ ...address, cert, key });
  }

  async function serve(conn: Deno.Conn, delay: number): Promise<void> {
    conns.add(conn);
    const buffer = new Uint8Array(65_536);
    try {
      for (let read; (read = await conn.read(buffer)) !== null;) {
        const reply = buffer.slice(0, read);
        if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay));
        for (let sent = 0; sent < read;) sent += await conn.write(reply.subarray(sent));
      }
    } catch {
      // The client is gone.
    }
    conns.delete(conn);
    conn[Symbol.dispose]();
  }

  const commands: Record<string, (conn: Deno.Conn) => unknown> = {
    end: (conn) => conn.closeWrite(),
    stray: (conn) => conn.write(Uint8Array.of(33)),
  };

  scope.onmessage = async ({ data }: MessageEvent<Plan>) => {
    const { flags, delay } = data;
    const listener = listen(data);
    scope.onmessage = async ({ data }: MessageEvent<string>) => {
      await Promise.all([...conns].map((conn) => commands[data]!(conn)));
      await new Promise((resolve) => setTimeout(resolve, 2)); // the system has the bytes by then
      Atomics.store(flags, 0, 1);
    };
    scope.postMessage("port" in listener.addr ? listener.addr.port : 0);
    for await (const conn of listener) serve(conn, delay);
  };
}
