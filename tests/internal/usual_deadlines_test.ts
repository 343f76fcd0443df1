import { assertEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { RemovableQueue } from "../../internal/removable_queue.ts";
import { UsualDeadlines } from "../../pool/_usual_deadlines.ts";
import { TimerSpy } from "../support/spies.ts";

interface Waiter {
  readonly number: number;
  readonly deadline: number;
  readonly isUsual: boolean;
  settled: boolean;
}

/** A line in which some have all the same time, and others a time of their own. */
class Scene implements Disposable {
  readonly time = new FakeTime(0);
  readonly timers = new TimerSpy();
  readonly line = new RemovableQueue<Waiter>();
  readonly due: number[] = [];
  readonly deadlines: UsualDeadlines<Waiter>;
  /** What happens when the waiter of that number is told. */
  onDue: (waiter: Waiter) => void = () => {};
  /** By how much the pool's clock is ahead of the timers', and how fast it goes. */
  ahead = 0;
  pace = 1;
  #arrivals = 0;

  constructor() {
    const clock = () => this.now;
    this.deadlines = new UsualDeadlines(this.line, ({ isUsual }) => isUsual, clock, (waiter) => {
      this.due.push(waiter.number);
      this.leave(waiter);
      this.onDue(waiter);
    });
  }

  get now(): number {
    return this.time.now * this.pace + this.ahead;
  }

  join(timeout = 100, isUsual = true): Waiter {
    const { now } = this;
    const deadline = now + timeout;
    const waiter = { number: this.#arrivals++, deadline, isUsual, settled: false };
    this.line.push(waiter);
    if (isUsual) this.deadlines.add(waiter, now);
    return waiter;
  }

  leave(waiter: Waiter): void {
    if (waiter.settled) return;
    waiter.settled = true;
    this.line.remove(waiter);
    if (this.line.size === 0) this.deadlines.rest();
  }

  [Symbol.dispose](): void {
    this.deadlines.clear();
    this.timers[Symbol.dispose]();
    this.time[Symbol.dispose]();
  }
}

Deno.test("UsualDeadlines tells each waiter at its time, with one timer for all", () => {
  using scene = new Scene();
  for (let i = 0; i < 10; i++) {
    scene.join();
    scene.time.tick(10);
  }
  assertEquals([scene.due, scene.timers.made], [[0], 2], "the first is due at 100");
  for (let i = 1; i < 10; i++) {
    scene.time.tick(9);
    assertEquals(scene.due.length, i);
    scene.time.tick(1);
    assertEquals(scene.due.length, i + 1);
  }
  assertEquals(scene.due, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assertEquals(scene.timers.pending, 0, "nobody is left");
});

Deno.test("UsualDeadlines passes over those who have a time of their own, wherever they stand", () => {
  using scene = new Scene();
  scene.join(10, false);
  scene.join();
  scene.join(500, false);
  scene.join(Infinity, false);
  scene.time.tick(50);
  scene.join();
  scene.time.tick(50);
  assertEquals(scene.due, [1]);
  scene.time.tick(50);
  assertEquals(scene.due, [1, 4]);
  assertEquals(scene.line.size, 3, "the others are nothing to it");
  assertEquals(scene.timers.pending, 0);
});

Deno.test("UsualDeadlines rings in vain for one who has left, and then for the next", () => {
  using scene = new Scene();
  const gone = scene.join();
  scene.time.tick(60);
  scene.join();
  scene.leave(gone);
  scene.time.tick(40);
  assertEquals([scene.due, scene.timers.pending], [[], 1]);
  scene.time.tick(59);
  assertEquals(scene.due, []);
  scene.time.tick(1);
  assertEquals(scene.due, [1]);
});

Deno.test("UsualDeadlines tells nobody who was answered because another was told", () => {
  using scene = new Scene();
  const waiters = [scene.join(), scene.join(), scene.join()];
  scene.onDue = ({ number }) => {
    if (number === 0) scene.leave(waiters[1]!);
  };
  scene.time.tick(100);
  assertEquals(scene.due, [0, 2]);
});

Deno.test("UsualDeadlines does not forget who joins while another is told", () => {
  using scene = new Scene();
  scene.join();
  scene.onDue = ({ number }) => {
    if (number < 3) scene.join();
  };
  for (let i = 1; i <= 4; i++) {
    scene.time.tick(99);
    assertEquals(scene.due.length, i - 1);
    scene.time.tick(1);
    assertEquals(scene.due.length, i);
  }
  assertEquals(scene.due, [0, 1, 2, 3]);
});

Deno.test("UsualDeadlines keeps the process alive while somebody waits, and no longer", () => {
  using scene = new Scene();
  const { timers } = scene;
  const first = scene.join();
  assertEquals(timers.holding, 1);
  scene.leave(first);
  assertEquals([timers.pending, timers.holding], [1, 0], "the timer stands, for whoever comes");
  scene.join();
  assertEquals([timers.made, timers.holding], [1, 1]);
  scene.time.tick(100);
  assertEquals([scene.due, timers.pending], [[1], 0]);
});

Deno.test("UsualDeadlines tells all who are late when the clock has leapt, though the timer knows nothing of it", () => {
  using scene = new Scene();
  for (let i = 0; i < 3; i++) scene.join();
  scene.ahead = 3_600_000;
  scene.join();
  scene.time.tick(0);
  assertEquals(scene.due, [0, 1, 2], "the last has its own time before it");
  scene.time.tick(100);
  assertEquals(scene.due, [0, 1, 2, 3]);
});

Deno.test("UsualDeadlines tells a waiter at a timer that is a fraction early by the pool's clock", () => {
  using scene = new Scene();
  scene.pace = 0.999;
  scene.join();
  scene.time.tick(100);
  assertEquals(scene.due, [0]);
});

Deno.test("UsualDeadlines tells one who comes just after others were told, by a clock that is behind the timer's", () => {
  using scene = new Scene();
  scene.pace = 0.99;
  scene.join();
  scene.join(Infinity, false);
  scene.time.tick(100);
  assertEquals(scene.due, [0]);
  scene.join();
  scene.time.tick(200);
  assertEquals(scene.due, [0, 2]);
});

Deno.test("UsualDeadlines leaves no timer when it is cleared in the midst of telling", () => {
  using scene = new Scene();
  scene.join();
  scene.join();
  scene.time.tick(50);
  scene.join();
  scene.onDue = () => {
    for (const waiter of scene.line) scene.leave(waiter);
    scene.deadlines.clear();
  };
  scene.time.tick(50);
  assertEquals([scene.due, scene.timers.pending], [[0], 0]);
});

Deno.test("UsualDeadlines tells each waiter at its time by a clock that is still below zero", () => {
  using scene = new Scene();
  scene.ahead = -1_000;
  scene.join();
  scene.time.tick(50);
  scene.join();
  scene.time.tick(50);
  assertEquals(scene.due, [0]);
  scene.time.tick(50);
  assertEquals([scene.due, scene.timers.pending], [[0, 1], 0]);
});
