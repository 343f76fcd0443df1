import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { factor, goals, judge } from "../bench/goals.ts";
import {
  bestPeer,
  type CaseResult,
  figure,
  type Measure,
  quartiles,
  ratio,
  type Role,
  type Row,
} from "../bench/_results.ts";
import { rounded, shown, table } from "../bench/_table.ts";

function row(name: string, role: Role, cpu: readonly number[], wall = cpu): Row {
  return { name, role, quartiles: { cpu: quartiles(cpu), wall: quartiles(wall) } };
}

function result(name: string, by: Measure, rows: Row[]): CaseResult {
  return { name, per: "call", by, rows };
}

Deno.test("bench: a quartile lies between the two values next to it", () => {
  assertEquals(quartiles([5, 1, 4, 2, 3]), [2, 3, 4]);
  assertEquals(quartiles([4, 1, 2, 3]), [1.75, 2.5, 3.25]);
  assertEquals(quartiles([7]), [7, 7, 7]);
});

Deno.test("bench: the figure of a time is its lower quartile, that of bytes the median", () => {
  const one = row("one", "ours", [1, 2, 3, 4, 5], [10, 20, 30, 40, 50]);
  assertEquals(figure(one, "cpu"), 2);
  assertEquals(figure(one, "wall"), 20);
  const heap: Row = { name: "heap", role: "ours", quartiles: { bytes: [1, 2, 3] } };
  assertEquals(figure(heap, "bytes"), 2);
});

Deno.test("bench: a ratio is by what the case is compared by, and the best peer too", () => {
  const rows = [
    row("sockpool", "ours", [3], [100]),
    row("floor", "floor", [1], [50]),
    row("slow", "peer", [12], [20]),
    row("fast", "peer", [6], [200]),
  ];
  const cpu = result("case", "cpu", rows);
  const wall = result("case", "wall", rows);
  assertEquals(ratio(cpu, rows[0]!, rows[1]!), 3);
  assertEquals(ratio(wall, rows[0]!, rows[1]!), 2);
  assertEquals(bestPeer(cpu)?.name, "fast");
  assertEquals(bestPeer(wall)?.name, "slow");
});

Deno.test("bench: a disturbed sample changes neither figure nor ratio much", () => {
  const calm = row("calm", "ours", [10, 10, 11, 11, 11, 12]);
  const disturbed = row("disturbed", "ours", [10, 10, 11, 11, 90, 80]);
  const case_ = result("case", "cpu", [calm, disturbed]);
  assertAlmostEquals(ratio(case_, disturbed, calm), 1, 0.05);
});

Deno.test("bench: a goal is met, nearly met within its margin, missed, or not judged", () => {
  const goal = (atMost: number) => factor("subject", "case", "floor", atMost, 1.1, "hook");
  const rows = [
    row("sockpool", "ours", [2]),
    row("hook", "ours", [3]),
    row("floor", "floor", [2]),
  ];
  const results = { subject: [result("case", "cpu", rows)] };
  const states = judge(results, [goal(1.5), goal(1.4), goal(1.3)]).map(({ state }) => state);
  assertEquals(states, ["met", "nearly", "missed"]);
  assertEquals(judge({}, [goal(1)]), []);
  assertEquals(judge({ subject: [result("case", "cpu", rows.slice(2))] }, [goal(1)]), []);
});

Deno.test("bench: no two goals are the same, and each has a margin", () => {
  const titles = goals.map(({ subject, title }) => `${subject}, ${title}`);
  assertEquals(new Set(titles).size, titles.length);
  for (const { margin } of goals) assert(margin > 1);
});

Deno.test("bench: figures are shown with a unit that suits them", () => {
  assertEquals(shown(999, "cpu"), "999 ns");
  assertEquals(shown(1_500, "wall"), "1.50 µs");
  assertEquals(shown(2_048, "bytes"), "2.00 KiB");
  assertEquals(rounded(12.34), "12.3");
});

Deno.test("bench: a table has the wall time beside the CPU time, and the ratios by CPU time", () => {
  const rows = [row("sockpool", "ours", [300], [900]), row("bare", "floor", [100], [100])];
  assertEquals(
    table(result("case", "cpu", rows)),
    [
      "          case: CPU time per call    wall  × floor",
      "sockpool             300 ns   ±0%  900 ns     3.00",
      "bare                 100 ns   ±0%  100 ns        1",
    ].join("\n"),
  );
});
