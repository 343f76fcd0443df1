import { assertEquals, assertRejects } from "@std/assert";
import { reasonToSkip } from "../support/needs.ts";
import { serverNeeds, serverTest, until } from "./_process.ts";
import { RedisServer } from "./_redis.ts";

const NEEDS = ["redis-server"];

const isGone = (path: string) => Deno.stat(path).then(() => false, () => true);
const isRefused = (port: number) =>
  Deno.connect({ hostname: "127.0.0.1", port }).then((conn) => conn.close(), () => true);

serverTest(NEEDS, "A server and its folder are gone when the test has ended", async () => {
  const server = await new RedisServer().start();
  const { port, directory } = server;
  await server[Symbol.asyncDispose]();
  assertEquals([await isGone(directory), await isRefused(port)], [true, true]);
});

serverTest(
  NEEDS,
  "A server and its folder are gone when the test process is killed",
  async () => {
    const program = new URL("./_dying.ts", import.meta.url).href;
    const { code, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--quiet", "-A", program],
    }).output();
    assertEquals(code, 137);
    const { port, directory } = JSON.parse(new TextDecoder().decode(stdout));
    await until(() => isGone(directory), "its folder is gone");
    await until(async () => await isRefused(port) === true, "it listens no more");
  },
);

serverTest(NEEDS, "A server that ends at once says why, and leaves nothing", async () => {
  const server = new RedisServer(["--no-such-setting", "1"]);
  await assertRejects(() => server.start(), Error, "no-such-setting");
  assertEquals(await isGone(server.directory), true);
});

Deno.test("Missing needs of tests with servers are named", () => {
  const reason = reasonToSkip(serverNeeds(["no-such-program"]));
  const reasons = ["no-such-program is not installed", "no --allow-run"];
  assertEquals(reasons.includes(`${reason}`), true, reason);
});
