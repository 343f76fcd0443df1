import { assertEquals } from "@std/assert";
import { Pool, tcp } from "../../mod.ts";
import { instrument } from "../../telemetry/mod.ts";
import type { Attributes, Tracer } from "../../telemetry/opentelemetry.ts";
import { EchoServer } from "../support/echo_server.ts";
import { TestProxy } from "../support/proxies.ts";

Deno.test("telemetry: the span of a dial through a proxy has the address of the server", async () => {
  await using server = EchoServer.listen();
  await using proxy = TestProxy.socks();
  const through = `socks5://127.0.0.1:${proxy.port}`;
  const dials: Attributes[] = [];
  const tracer: Tracer = {
    startSpan(name, options = {}) {
      if (name === "sockpool.connect") dials.push(options.attributes ?? {});
      return { setAttribute() {}, setStatus() {}, end() {} };
    },
  };
  for (const hostname of ["db.test", "::1"]) {
    await using pool = new Pool(tcp({ hostname, port: server.port, proxy: through }));
    using _instrument = instrument(pool, { tracer });
    (await pool.acquire()).release();
  }
  const addressOf = (dial: Attributes) => [dial["server.address"], dial["server.port"]];
  assertEquals(dials.map(addressOf), [["db.test", server.port], ["[::1]", server.port]]);
});
