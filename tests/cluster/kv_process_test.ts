import { assertEquals, assertMatch } from "@std/assert";
import { type Needs, needs, PROCESS } from "../support/needs.ts";
import { fromFileUrl } from "./_paths.ts";

// `Deno.openKv` needs a flag that the other tests do not need. Windows has no SIGSTOP and SIGKILL.
const NEEDS: Needs = { ...PROCESS, notOn: ["windows"] };

Deno.test({
  ...needs("The tests with Redis pass with Deno KV (kv_suite.ts)", NEEDS),
  async fn() {
    const path = (name: string) => fromFileUrl(new URL(name, import.meta.url));
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--no-check", "--unstable-kv", "--allow-all", path("kv_suite.ts")],
      cwd: path("../.."),
      env: { NO_COLOR: "1" },
    }).output();
    const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assertEquals(code, 0, output);
    assertMatch(output, /\| 21 passed \| 0 failed/);
  },
});
