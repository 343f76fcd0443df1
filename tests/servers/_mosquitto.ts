/** A real mosquitto, and the part of MQTT 3.1.1 that tests need. */

import { type Connector, Socket, type SocketConn, type SocketLease, tcp } from "@x/sockpool";
import { concat } from "./_bytes.ts";
import { loggingIn } from "./_login.ts";
import { connectionsTo, isRoot, pathOf, Server } from "./_process.ts";

/** A mosquitto on TCP. */
export class MosquittoServer extends Server {
  /** The number of its clients, as the system counts them: its own count is seconds old. */
  clients(): Promise<number> {
    return Promise.resolve(connectionsTo(this.port));
  }

  protected override async prepare(): Promise<void> {
    const settings = [
      `listener ${this.port} 127.0.0.1`,
      "allow_anonymous true",
      "persistence false",
      ...isRoot() ? ["user root"] : [],
    ];
    await Deno.writeTextFile(`${this.directory}/conf`, settings.join("\n"));
  }

  protected command(): string[] {
    return [pathOf("mosquitto"), "-c", `${this.directory}/conf`];
  }

  protected async ping(): Promise<void> {
    const conn = new Socket(await Deno.connect({ hostname: "127.0.0.1", port: this.port }));
    try {
      await logIn(conn, "observer", 60);
    } finally {
      conn.close();
    }
  }
}

let clients = 0;
const topics = new WeakMap<Socket, string>();

/** A connector whose clients each subscribe to their own topic. */
export function mqtt({ port }: MosquittoServer, keepAlive = 60): Connector<Socket, SocketLease> {
  return loggingIn(tcp({ port }) as Connector<Socket, SocketLease>, async (socket) => {
    const topic = `client/${clients++}`;
    topics.set(socket, topic);
    await logIn(socket, topic, keepAlive);
    await subscribe(socket, topic);
  });
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const CONNECT = 0x10;
const CONNACK = 0x20;
const PUBLISH = 0x30;
const SUBSCRIBE = 0x82;
const SUBACK = 0x90;

/** A packet; a PUBLISH has a message. */
interface Packet {
  readonly type: number;
  readonly body: Uint8Array;
  readonly message: string;
}

/** Sends CONNECT, and waits until it is accepted. */
async function logIn(conn: SocketConn, client: string, keepAlive: number): Promise<void> {
  const version = 4;
  const cleanSession = 2;
  const head = [version, cleanSession, keepAlive >> 8, keepAlive & 0xff];
  await send(conn, CONNECT, concat(text("MQTT"), new Uint8Array(head), text(client)));
  const { type, body } = await receive(conn);
  if (type !== CONNACK || body[1] !== 0) throw new Deno.errors.InvalidData(`Refused: ${body[1]}`);
}

async function subscribe(conn: SocketConn, topic: string): Promise<void> {
  await send(conn, SUBSCRIBE, concat(new Uint8Array([0, 1]), text(topic), new Uint8Array([0])));
  const { type } = await receive(conn);
  if (type !== SUBACK) throw new Deno.errors.InvalidData(`No answer to SUBSCRIBE: ${type}`);
}

/** A request whose reply is its tag, which is published to the client's own topic. */
export async function echo(conn: SocketLease, tag: string): Promise<string> {
  await send(conn, PUBLISH, concat(text(topics.get(conn.value)!), encoder.encode(tag)));
  return (await receive(conn)).message;
}

function text(value: string): Uint8Array {
  const bytes = encoder.encode(value);
  return concat(new Uint8Array([bytes.length >> 8, bytes.length & 0xff]), bytes);
}

/** Packets of up to 127 bytes, with a length of one byte. */
async function send(conn: SocketConn, type: number, body: Uint8Array): Promise<void> {
  await conn.writeAll(concat(new Uint8Array([type, body.length]), body));
}

async function receive(conn: SocketConn): Promise<Packet> {
  const head = await conn.readExactly(2);
  const body = await conn.readExactly(head[1]!);
  const type = head[0]! & 0xf0;
  const message = type === PUBLISH ? body.subarray(2 + (body[0]! << 8) + body[1]!) : body;
  return { type, body, message: decoder.decode(message) };
}
