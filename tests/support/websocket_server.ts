/** What the server does with a message. */
export type Answer = (peer: WebSocketPeer, message: string | ArrayBuffer) => void;

/** Sends back what it receives. */
export const echo: Answer = (peer, message) => peer.socket.send(message);

/** Receives and never answers. */
export const mute: Answer = () => {};

/** Sends back each message, then `count` further messages, each `gap` milliseconds after the one before. */
export function trailing(count: number, gap: number, text = "late"): Answer {
  return (peer, message) => {
    peer.socket.send(message);
    let left = count;
    const timer = setInterval(() => {
      if (left-- > 0 && peer.isOpen) peer.socket.send(text);
      else clearInterval(timer);
    }, gap);
    peer.closed.then(() => clearInterval(timer));
  };
}

/** The server's end of a WebSocket. */
export class WebSocketPeer {
  readonly socket: WebSocket;
  readonly headers: Headers;
  readonly messages: (string | ArrayBuffer)[] = [];
  /** How the client closed it. */
  readonly closed: Promise<CloseEvent>;

  constructor(socket: WebSocket, headers: Headers, answer: Answer) {
    this.socket = socket;
    this.headers = headers;
    this.closed = new Promise((resolve) => socket.onclose = resolve);
    socket.onmessage = ({ data }) => {
      this.messages.push(data);
      answer(this, data);
    };
  }

  get isOpen(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }
}

/** Options of a {@linkcode WebSocketServer}. */
export interface WebSocketServerOptions {
  /** The sub-protocol to choose. */
  protocol?: string;
  /** By default a free one. */
  port?: number;
  /** A message sent to every new client. */
  greeting?: string;
  /** Uses TLS with this certificate. */
  tls?: { cert: string; key: string };
}

/** A real WebSocket server on loopback. Disposing of it closes every connection. */
export class WebSocketServer implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #scheme: string;
  /** All accepted connections, the oldest first. */
  readonly peers: WebSocketPeer[] = [];

  constructor(
    answer: Answer = echo,
    { protocol, port = 0, greeting, tls }: WebSocketServerOptions = {},
  ) {
    const options = { hostname: "127.0.0.1", port, onListen() {}, ...tls };
    this.#scheme = tls === undefined ? "ws" : "wss";
    this.#server = Deno.serve(options, (request) => {
      const headers = new Headers(request.headers); // not available after the upgrade
      const { socket, response } = Deno.upgradeWebSocket(request, protocol ? { protocol } : {});
      this.peers.push(new WebSocketPeer(socket, headers, answer));
      if (greeting !== undefined) socket.onopen = () => socket.send(greeting);
      return response;
    });
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.#server.addr.port}/`;
  }

  /** How many connections the server has accepted. */
  get accepts(): number {
    return this.peers.length;
  }

  /** How many of them are open. */
  get open(): number {
    return this.peers.filter((peer) => peer.isOpen).length;
  }

  /** The only open one, or the latest. */
  get peer(): WebSocketPeer {
    return this.peers.at(-1)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { socket } of this.peers) socket.close();
    await Promise.all(this.peers.map(({ closed }) => closed));
    await this.#server.shutdown();
  }
}
