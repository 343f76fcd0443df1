/**
 * The code of the worker. A message is a JSON array of replies, each with the milliseconds
 * after which it is sent; a `null` text closes. It is plain JavaScript in a `blob:` URL,
 * so that no permission to read is needed.
 */
const CODE = `
  const sockets = new Set();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    sockets.add(socket);
    socket.onclose = () => sockets.delete(socket);
    socket.onmessage = ({ data }) => {
      for (const [text, after] of JSON.parse(data)) {
        const act = () => {
          if (socket.readyState !== WebSocket.OPEN) return;
          if (text === null) socket.close(1001);
          else socket.send(text);
        };
        if (after === 0) act();
        else setTimeout(act, after);
      }
    };
    return response;
  });
  const turn = () => new Promise((resolve) => setTimeout(resolve, 0));
  self.onmessage = async ({ data: { command, flags } }) => {
    for (const socket of sockets) {
      if (command === "stray") socket.send("stray");
      else socket.close(1001);
    }
    for (let turns = 0; turns < 3; turns++) await turn(); // it is written by then
    Atomics.store(flags, 0, 1);
  };
  self.postMessage(server.addr.port);
`;

/** A WebSocket server on its own thread, which goes on while the test's event loop is blocked. */
export class WebSocketWorker implements Disposable {
  readonly #worker: Worker;
  readonly url: string;

  private constructor(worker: Worker, port: number) {
    this.#worker = worker;
    this.url = `ws://127.0.0.1:${port}/`;
  }

  /** Resolves when the server listens. */
  static async start(): Promise<WebSocketWorker> {
    const script = URL.createObjectURL(new Blob([CODE], { type: "text/javascript" }));
    const worker = new Worker(script, { type: "module" });
    const port = await new Promise<number>((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
    });
    URL.revokeObjectURL(script);
    return new WebSocketWorker(worker, port);
  }

  /**
   * Makes the server send an unsolicited message, or close, on every connection, and
   * blocks the event loop until that is done, and for at least `milliseconds`.
   */
  stallDuring(command: "stray" | "close", milliseconds: number): void {
    const flags = new Int32Array(new SharedArrayBuffer(4));
    this.#worker.postMessage({ command, flags });
    stall(milliseconds);
    while (Atomics.load(flags, 0) === 0);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

/** The message that makes the server send these texts, each after its milliseconds. */
export function say(...replies: [text: string | null, after: number][]): string {
  return JSON.stringify(replies);
}

/** Blocks the event loop, as a long computation does. */
export function stall(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}
