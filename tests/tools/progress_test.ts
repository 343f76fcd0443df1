import { assertEquals } from "@std/assert";
import { progressText } from "../../tools/_progress.ts";

Deno.test("progress: a line has a bar, the percentage, and the remaining time", () => {
  assertEquals(progressText(0, 1_000), `${"░".repeat(24)}   0 %`);
  assertEquals(progressText(0.25, 10_000), `${"█".repeat(6)}${"░".repeat(18)}  25 %  30 s left`);
  assertEquals(
    progressText(0.5, 90_000),
    `${"█".repeat(12)}${"░".repeat(12)}  50 %  1 min 30 s left`,
  );
  assertEquals(progressText(2, 10_000), `${"█".repeat(24)} 100 %  0 s left`);
});
