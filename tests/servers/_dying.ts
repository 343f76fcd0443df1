/** A program that starts a server, prints its address, and is killed. */

import { RedisServer } from "./_redis.ts";

const { port, directory } = await new RedisServer().start();
console.log(JSON.stringify({ port, directory }));
Deno.kill(Deno.pid, "SIGKILL");
