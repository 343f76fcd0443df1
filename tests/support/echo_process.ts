/**
 * An echo server in a process of its own, to be killed, and to do to its
 * clients what a server in the same process cannot do, or not while that one's
 * event loop is blocked. It says `ready` when it listens, and obeys the lines
 * that it reads: a command, or a command and a file to be made when it has been
 * done.
 *
 *     deno run -A tests/support/echo_process.ts PORT
 *
 * @module
 */

import net from "node:net";
import { createInterface } from "node:readline";
import process from "node:process";

const clients = new Set<net.Socket>();

const commands: Record<string, (client: net.Socket) => void> = {
  /** Sends an RST. */
  reset: (client) => client.resetAndDestroy(),
  /** Sends a FIN. */
  end: (client) => client.end(),
  /** Sends a byte that nobody has asked for. */
  stray: (client) => client.write("!"),
  /** Takes nothing in any more. */
  pause: (client) => client.pause(),
};

const server = net.createServer({ allowHalfOpen: true }, (client) => {
  clients.add(client);
  client.on("data", (bytes) => client.write(bytes));
  client.on("end", () => client.end());
  client.on("error", () => {});
  client.on("close", () => clients.delete(client));
});

server.listen(Number(Deno.args[0]), "127.0.0.1", () => console.log("ready"));

for await (const line of createInterface({ input: process.stdin })) {
  const [command, file] = line.split(" ");
  for (const client of clients) commands[command!]!(client);
  // What was asked for is done in this turn of the event loop, or in the next.
  if (file !== undefined) setTimeout(() => Deno.writeTextFileSync(file, ""), 20);
}

Deno.exit(); // whoever began it is gone
