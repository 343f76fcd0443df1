/**
 * An echo server in its own process, which can be killed, and which acts on its
 * clients while the event loop of the test is blocked. It prints `ready` when it
 * listens. Each line of its input is a command, optionally followed by a file to
 * create when the command is done.
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
  /** Sends an unsolicited byte. */
  stray: (client) => client.write("!"),
  /** Stops reading. */
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
  // The command is done in this turn of the event loop, or in the next.
  if (file !== undefined) setTimeout(() => Deno.writeTextFileSync(file, ""), 20);
}

Deno.exit(); // the parent process is gone
