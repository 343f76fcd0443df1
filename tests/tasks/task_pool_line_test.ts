import { assertEquals } from "@std/assert";
import { AsyncLocalStorage } from "node:async_hooks";
import { LinkedList } from "../../internal/linked_list.ts";
import { Claim } from "../../tasks/_claim.ts";
import { Segment } from "../../tasks/_segment.ts";
import type { Turn } from "../../tasks/_turn.ts";
import { microtasks, Outcome } from "../support/scene.ts";

const storage = new AsyncLocalStorage<number>();

/** Notes the async context in which it is called. */
class Call extends Claim {
  standing: "waiting" | "granted" | "over" = "waiting";

  constructor(readonly calls: (number | undefined)[]) {
    super();
  }

  get isCalled(): boolean {
    return true;
  }

  enter(): void {
    this.standing = "granted";
    this.segment.granted();
  }

  withdraw(): void {
    this.standing = "over";
    this.segment.withdrawn();
  }

  awake(turn: Turn): void {
    if (this.standing === "over") turn.resolve(undefined);
    else this.segment.awake(this, turn);
  }

  call(): void {
    if (this.standing !== "granted") return;
    this.standing = "over";
    this.calls.push(storage.getStore());
    this.segment.served();
  }
}

/** Puts so many claims into a line of segments, each from another async context. */
function fill(
  line: LinkedList<Segment>,
  count: number,
  kind: (n: number) => typeof Call = () => Call,
) {
  const calls: (number | undefined)[] = [];
  const claims = Array.from({ length: count }, (_, n) => {
    const claim = new (kind(n))(calls);
    if (line.tail === undefined || line.tail.isExhausted) line.push(new Segment(line));
    storage.run(n, () => line.tail!.push(claim));
    return claim;
  });
  return { calls, claims };
}

Deno.test("the line: claims that are withdrawn leave nothing behind, though the first waits for ever", async () => {
  const line = new LinkedList<Segment>();
  const { claims } = fill(line, 10_000);
  assertEquals(line.size, 40);
  for (const claim of claims.slice(1)) claim.withdraw();
  assertEquals(line.size, 1);
  await microtasks();
  claims[0]!.withdraw();
  assertEquals(line.size, 0);
});

Deno.test("the line: those who were granted are called in order, across its pieces, each in its context", async () => {
  const line = new LinkedList<Segment>();
  const { calls, claims } = fill(line, 1_000);
  await microtasks();
  for (const claim of claims.toReversed()) claim.enter();
  await microtasks(5_000);
  assertEquals(calls, [...Array(1_000).keys()]);
  assertEquals(line.size, 1);
});

Deno.test("the line: who was withdrawn is passed over, also a whole piece in the middle", async () => {
  const line = new LinkedList<Segment>();
  const { calls, claims } = fill(line, 1_000);
  const isOut = (n: number) => n >= 250 && n < 800 || n % 3 === 0;
  for (const [n, claim] of claims.entries()) if (isOut(n)) claim.withdraw();
  for (const [n, claim] of claims.entries()) if (!isOut(n)) claim.enter();
  await microtasks(5_000);
  assertEquals(calls, [...Array(1_000).keys()].filter((n) => !isOut(n)));
});

Deno.test("the line: a first claim that is withdrawn lets the next be called that was granted", async () => {
  const line = new LinkedList<Segment>();
  const { calls, claims } = fill(line, 3);
  await microtasks();
  claims[1]!.enter();
  await microtasks();
  assertEquals(calls, []);
  claims[0]!.withdraw();
  await microtasks();
  assertEquals(calls, [1]);
  claims[2]!.enter();
  await microtasks();
  assertEquals(calls, [1, 2]);
});

Deno.test("the line: who is withdrawn from the middle is answered at once, and his neighbours keep order and context", async () => {
  const line = new LinkedList<Segment>();
  const { calls, claims } = fill(line, 600);
  await microtasks();
  claims[400]!.withdraw();
  const [withdrawn, next] = [new Outcome(claims[400]!.answer), new Outcome(claims[401]!.answer)];
  await microtasks(2);
  assertEquals(withdrawn.state, "fulfilled");
  await microtasks(600);
  for (const claim of claims) if (claim !== claims[400]) claim.enter();
  await microtasks(5_000);
  assertEquals(calls, [...Array(600).keys()].filter((n) => n !== 400));
  assertEquals(next.state, "pending");
});

Deno.test("the line: one that is withdrawn just before its call is passed over", async () => {
  const line = new LinkedList<Segment>();
  const { calls, claims } = fill(line, 3);
  claims[2]!.withdraw();
  await microtasks();
  claims[0]!.enter();
  claims[1]!.enter();
  claims[0]!.withdraw();
  await microtasks();
  assertEquals(calls, [1]);
});

Deno.test("the line: tickets, which are not called, stand among those who are", async () => {
  class Ticket extends Call {
    override get isCalled(): boolean {
      return false;
    }

    override enter(): void {
      this.standing = "over";
      this.segment.served();
    }
  }
  const line = new LinkedList<Segment>();
  const { calls, claims } = fill(line, 9, (n) => n % 3 === 0 ? Ticket : Call);
  assertEquals(claims.map((_, n) => line.head!.shift() === claims[n]), Array(9).fill(true));
  for (const claim of claims) claim.enter();
  await microtasks();
  assertEquals(calls, [1, 2, 4, 5, 7, 8]);
});
