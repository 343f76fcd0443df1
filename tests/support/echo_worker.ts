/**
 * The code of the {@linkcode EchoWorker}. A request is a line of a tag and an action.
 * The reply is the tag.
 */
const SERVER = `
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  postMessage(listener.addr.port);
  const decoder = new TextDecoder(), encoder = new TextEncoder();
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const deeds = {
    echo: (send, tag) => send(tag + "\\n"),
    slow: async (send, tag) => { await sleep(3); await send(tag + "\\n"); },
    extra: (send, tag) => send(tag + "\\nSTRAY\\n"),
    late: async (send, tag) => { await send(tag + "\\n"); await sleep(4); await send("STRAY\\n"); },
    hangUp: async (send, tag) => { await send(tag + "\\n"); return "end"; },
    drop: () => "end",
  };
  async function serve(conn) {
    const buffer = new Uint8Array(4096);
    const send = async (text) => { for (let b = encoder.encode(text); b.length > 0;) b = b.subarray(await conn.write(b)); };
    let text = "";
    for (let read; (read = await conn.read(buffer)) !== null;) {
      text += decoder.decode(buffer.subarray(0, read));
      for (let at; (at = text.indexOf("\\n")) >= 0; text = text.slice(at + 1)) {
        const [tag, deed] = text.slice(0, at).split(" ");
        if (await deeds[deed](send, tag) === "end") return;
      }
    }
  }
  for await (const conn of listener) serve(conn).catch(() => {}).finally(() => { try { conn.close(); } catch {} });
`;

/** A server on its own thread, which a blocked client does not block. Disposing of it ends it. */
export class EchoWorker implements Disposable {
  readonly #worker: Worker;
  readonly port: number;

  private constructor(worker: Worker, port: number) {
    this.#worker = worker;
    this.port = port;
  }

  static async start(): Promise<EchoWorker> {
    const url = `data:application/javascript,${encodeURIComponent(SERVER)}`;
    const worker = new Worker(url, { type: "module" });
    const port = await new Promise<number>((resolve) => worker.onmessage = (e) => resolve(e.data));
    return new EchoWorker(worker, port);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
