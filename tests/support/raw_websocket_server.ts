import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { until } from "./until.ts";

/** A received frame, unmasked. */
export interface Frame {
  readonly opcode: number;
  readonly payload: Uint8Array;
}

/** How an upgrade request is answered: by default it is accepted. */
export type Reception = (peer: RawPeer) => void;

/** Accepts the upgrade. */
export const grant: Reception = (peer) => void peer.upgrade();

/** Does not answer. */
export const ignore: Reception = () => {};

/** Rejects with a status. */
export function decline(status: number): Reception {
  return (peer) => peer.write(encode(`HTTP/1.1 ${status} No\r\nContent-Length: 2\r\n\r\nno`));
}

/** A frame of a message, or a whole message. */
export function frame(opcode: number, payload: Uint8Array | string, fin = true): Uint8Array {
  const bytes = typeof payload === "string" ? encode(payload) : payload;
  const head = [(fin ? 0x80 : 0) | opcode];
  if (bytes.length < 126) head.push(bytes.length);
  else head.push(126, bytes.length >> 8, bytes.length & 0xff);
  return concat(Uint8Array.from(head), bytes);
}

/** A text message in one frame. */
export const text = (message: string): Uint8Array => frame(1, message);

/** A close frame, empty without a code. */
export function closeFrame(code?: number, reason = ""): Uint8Array {
  if (code === undefined) return frame(8, "");
  return frame(8, concat(Uint8Array.of(code >> 8, code & 0xff), encode(reason)));
}

const encoder = new TextEncoder();
const encode = (text: string) => encoder.encode(text);

export function concat(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The server's end of a connection. It does only what the test says: it does not answer a close. */
export class RawPeer {
  readonly #socket: Socket;
  #bytes = new Uint8Array();
  #isDiscarding = false;
  request = "";
  readonly frames: Frame[] = [];
  isUpgraded = false;
  isEnded = false;

  constructor(socket: Socket, reception: Reception) {
    this.#socket = socket;
    socket.on("error", () => {}); // the client may end in any way
    socket.on("close", () => this.isEnded = true);
    socket.on("data", (chunk: Uint8Array) => {
      if (this.#isDiscarding) return;
      this.#bytes = concat(this.#bytes, chunk) as Uint8Array<ArrayBuffer>;
      if (this.request === "") this.#readRequest(reception);
      if (this.isUpgraded) this.#readFrames();
    });
  }

  /** Writes bytes at once, in one segment if they fit. */
  write(...parts: Uint8Array[]): void {
    this.#socket.write(concat(...parts));
  }

  async upgrade(): Promise<void> {
    const key = /sec-websocket-key: (\S+)/i.exec(this.request)![1];
    const digest = await crypto.subtle.digest(
      "SHA-1",
      encoder.encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`),
    );
    const accept = btoa(String.fromCharCode(...new Uint8Array(digest)));
    this.isUpgraded = true;
    this.write(encode(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
    ));
  }

  /** Stops reading. */
  pause(): void {
    this.#socket.pause();
  }

  /** Resumes reading, and drops the bytes. */
  discard(): void {
    this.#isDiscarding = true;
    this.#socket.resume();
  }

  /** Ends the connection without a close frame. */
  end(): void {
    this.#socket.destroy();
  }

  /** Sends an RST. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  /** Resolves to the client's close frame. */
  async closeFrame(): Promise<Frame> {
    await until(() => this.frames.some(({ opcode }) => opcode === 8));
    return this.frames.find(({ opcode }) => opcode === 8)!;
  }

  #readRequest(reception: Reception): void {
    const head = new TextDecoder().decode(this.#bytes);
    if (!head.endsWith("\r\n\r\n")) return;
    this.#bytes = new Uint8Array();
    this.request = head;
    reception(this);
  }

  #readFrames(): void {
    while (this.#bytes.length >= 6) {
      const short = this.#bytes[1]! & 0x7f;
      if (short > 125) throw new Error("a test that sends long messages needs another server");
      if (this.#bytes.length < 6 + short) return;
      const mask = this.#bytes.subarray(2, 6);
      const payload = this.#bytes.slice(6, 6 + short).map((byte, i) => byte ^ mask[i % 4]!);
      this.frames.push({ opcode: this.#bytes[0]! & 0xf, payload });
      this.#bytes = this.#bytes.slice(6 + short);
    }
  }
}

/**
 * A WebSocket server on loopback that does only what the test says. `npm:ws` cannot replace it: it answers every
 * close by itself, and its users need partial handshakes, a handshake and frames in one segment, and silence.
 */
export class RawWebSocketServer implements AsyncDisposable {
  readonly #server: Server;
  readonly peers: RawPeer[] = [];
  reception: Reception;

  private constructor(server: Server, reception: Reception) {
    this.#server = server;
    this.reception = reception;
    server.on("connection", (socket: Socket) => {
      this.peers.push(new RawPeer(socket, (peer) => this.reception(peer)));
    });
  }

  static async listen(reception: Reception = grant): Promise<RawWebSocketServer> {
    const server = createServer({ noDelay: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new RawWebSocketServer(server, reception);
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  get peer(): RawPeer {
    return this.peers.at(-1)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.peers) peer.end();
    await new Promise((resolve) => this.#server.close(resolve));
    await until(() => this.peers.every(({ isEnded }) => isEnded));
  }
}
