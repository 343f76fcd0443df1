/**
 * The code of the page. The browser gets the text of the function, so it must use nothing
 * outside it except types.
 *
 * @module
 */

import type { Times } from "./_recorder.ts";
import type { KeyView, PoolView, Snapshot, TaskView, View } from "./_snapshot.ts";

type Child = Element | string;

/** The used part of the DOM. */
interface Element {
  textContent: string;
  hidden: boolean;
  className: string;
  readonly dataset: Record<string, string>;
  readonly style: { setProperty(name: string, value: string): void };
  append(...children: Child[]): void;
  replaceChildren(...children: Child[]): void;
  remove(): void;
  setAttribute(name: string, value: string): void;
  addEventListener(type: string, listener: () => void): void;
}

interface Document {
  hidden: boolean;
  createElement(tag: string): Element;
  createElementNS(namespace: string, tag: string): Element;
  getElementById(id: string): Element | null;
  addEventListener(type: string, listener: () => void): void;
}

/** The used part of a browser. */
export interface Browser {
  readonly document: Document;
  fetch(url: string): Promise<{ ok: boolean; status: number; json(): Promise<unknown> }>;
  setTimeout(callback: () => void, time: number): number;
  clearTimeout(id: number | undefined): void;
}

/** Shows figures, and fetches new ones repeatedly. */
export function client(browser: Browser, interval: number): void {
  const { document } = browser;
  /** How far back histograms and counts go, and how far the chart does, in milliseconds. */
  const WINDOW = 60_000;
  const HISTORY = 120_000;
  const SHORTEST_CHART = 15_000;
  /** Rates are those of the last few seconds. */
  const RECENT = 5_000;
  /** A band of more slots is drawn in proportion, without a cell for each. */
  const MOST_CELLS = 64;
  const MOST_DOTS = 40;
  const MOST_LEASES = 8;
  const LONG_LEASE = 30_000;
  /** Shorter waits are usual and are not shown. */
  const NOTABLE_WAIT = 100;
  const LONG_WAIT = 1_000;
  const SVG = "http://www.w3.org/2000/svg";

  type Level = "good" | "busy" | "bad";
  type Verdict = readonly [level: Level, text: string];
  interface Card {
    readonly element: Element;
    readonly link: Element;
    update(view: View, past: Past): Level;
  }
  /** Earlier states of a pool. */
  interface Past {
    /** The newest state of at least this age, or else the oldest. */
    before(age: number): { readonly at: number; readonly view: View };
    readonly all: readonly { readonly at: number; readonly view: View }[];
    readonly now: number;
  }

  const STATES = [
    ["leased", "in use"],
    ["preparing", "preparing"],
    ["connecting", "dialling"],
    ["closing", "closing"],
    ["idle", "idle"],
  ] as const;

  // --- Elements

  function h(tag: string, attributes: Record<string, string> = {}, ...children: Child[]): Element {
    return fill(document.createElement(tag), attributes, children);
  }

  function svg(tag: string, attributes: Record<string, string> = {}, ...children: Child[]) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
  }

  function fill(element: Element, attributes: Record<string, string>, children: Child[]): Element {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /** Changes only differences, so that a selection or a screen reader is not disturbed. */
  function setText(element: Element, text: string): void {
    if (element.textContent !== text) element.textContent = text;
  }

  // --- Texts

  function count(value: number | null): string {
    return value === null ? "∞" : Math.round(value).toLocaleString("en");
  }

  function rateText(perSecond: number): string {
    return perSecond >= 100 || perSecond === 0 ? count(perSecond) : perSecond.toFixed(1);
  }

  function duration(time: number): string {
    if (time < 1) return time === 0 ? "0 ms" : `${time.toFixed(1)} ms`;
    if (time < 1_000) return `${Math.round(time)} ms`;
    if (time < 60_000) return `${(time / 1_000).toFixed(time < 10_000 ? 1 : 0)} s`;
    const minutes = Math.floor(time / 60_000);
    if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
    return `${minutes} min ${Math.floor(time % 60_000 / 1_000)} s`;
  }

  function plural(value: number, noun: string): string {
    return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
  }

  // --- Figures

  /** The increase of a counter: its whole value if the process has restarted. */
  function since(now: Times, then: Times): Times {
    if (then.count > now.count) return now;
    return {
      bounds: now.bounds,
      counts: now.counts.map((value, i) => value - then.counts[i]!),
      count: now.count - then.count,
      sum: now.sum - then.sum,
    };
  }

  /** The quantile for a share: Infinity if it is beyond the last bound. */
  function timeOf({ bounds, counts, count }: Times, share: number): number {
    let below = 0;
    for (const [i, inBucket] of counts.entries()) {
      if (inBucket > 0 && below + inBucket >= share * count) {
        const low = bounds[i - 1] ?? 0;
        return low + ((bounds[i] ?? Infinity) - low) * (share * count - below) / inBucket;
      }
      below += inBucket;
    }
    return 0;
  }

  function quantile(times: Times, share: number): string {
    if (times.count === 0) return "–";
    const time = timeOf(times, share);
    return time === Infinity ? `> ${duration(times.bounds.at(-1)!)}` : duration(time);
  }

  function rateOf(past: Past, amount: (view: View) => number): number {
    const then = past.before(RECENT);
    const now = past.all.at(-1)!;
    const seconds = (now.at - then.at) / 1_000;
    return seconds <= 0 ? 0 : Math.max(0, amount(now.view) - amount(then.view)) / seconds;
  }

  function difference(past: Past, age: number, amount: (view: View) => number): number {
    const now = amount(past.all.at(-1)!.view);
    const then = amount(past.before(age).view);
    return now >= then ? now - then : now;
  }

  function sum(values: Record<string, number>): number {
    return Object.values(values).reduce((total, value) => total + value, 0);
  }

  // --- Parts of a card

  function tile(label: string): { element: Element; set(text: string, note: string): void } {
    const value = h("dd", { class: "value" });
    const note = h("dd", { class: "note" });
    return {
      element: h("div", { class: "tile" }, h("dt", {}, label), value, note),
      set(text, more) {
        setText(value, text);
        setText(note, more);
      },
    };
  }

  /** One cell for each slot, in the colour of its state. */
  function band(label: string) {
    const lanes = h("div", { class: "band", role: "img" });
    let shown = "";
    return {
      element: lanes,
      set(parts: readonly (readonly [string, number])[], capacity: number | null) {
        const used = parts.reduce((total, [, amount]) => total + amount, 0);
        const free = Math.max(0, (capacity ?? used) - used);
        const all = [...parts, ["free", free] as const];
        const key = JSON.stringify(all);
        if (key === shown) return;
        shown = key;
        const words = all.filter(([, amount]) => amount > 0).map(([state, amount]) =>
          `${count(amount)} ${state}`
        );
        lanes.setAttribute("aria-label", `${label}: ${words.join(", ") || "none"}`);
        lanes.replaceChildren(...(used + free <= MOST_CELLS ? cells(all) : segments(all)));
      },
    };
  }

  function cells(parts: readonly (readonly [string, number])[]): Element[] {
    return parts.flatMap(([state, amount]) =>
      Array.from({ length: amount }, () => h("span", { class: `cell ${state}` }))
    );
  }

  function segments(parts: readonly (readonly [string, number])[]): Element[] {
    return parts.filter(([, amount]) => amount > 0).map(([state, amount]) => {
      const segment = h("span", { class: `cell wide ${state}` });
      segment.style.setProperty("flex-grow", String(amount));
      return segment;
    });
  }

  function legend(states: readonly (readonly [string, string])[]) {
    const values = states.map(() => h("b"));
    const items = states.map(([state, label], i) =>
      h("li", {}, h("span", { class: `swatch ${state}`, "aria-hidden": "true" }), values[i]!, label)
    );
    const list = h("ul", { class: "legend" }, ...items);
    return {
      element: list,
      set(amounts: readonly number[]) {
        for (const [i, amount] of amounts.entries()) {
          setText(values[i]!, count(amount));
          items[i]!.className = amount === 0 ? "zero" : "";
        }
      },
    };
  }

  /** A dot for each waiter. */
  function queue() {
    const text = h("span", { class: "queue-text" });
    const dots = h("span", { class: "dots", "aria-hidden": "true" });
    let shown = -1;
    return {
      element: h("p", { class: "queue" }, text, dots),
      set(amount: number, words: string) {
        setText(text, words);
        if (amount === shown) return;
        shown = amount;
        const more = amount > MOST_DOTS ? [h("i", {}, `+${count(amount - MOST_DOTS)}`)] : [];
        const length = Math.min(amount, MOST_DOTS);
        dots.replaceChildren(...Array.from({ length }, () => h("span", { class: "dot" })), ...more);
      },
    };
  }

  /** Slots in use and waiters over the last two minutes. */
  function chart() {
    const WIDTH = 600;
    const HEIGHT = 72;
    const used = svg("path", { class: "area" });
    const waiting = svg("path", { class: "line" });
    const bound = svg("line", { class: "bound", x1: "0", x2: String(WIDTH) });
    const drawing = svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" },
      ...[bound, used, waiting],
    );
    const span = h("span");
    const peakText = h("span", { class: "peak" });
    const swatch = (state: string) =>
      h("span", { class: `swatch ${state}`, "aria-hidden": "true" });
    const caption = h(
      "figcaption",
      {},
      ...[span, swatch("leased"), "in use, ", swatch("waiting"), "waiting", peakText],
    );
    return {
      element: h("figure", { class: "chart" }, caption, drawing),
      set(past: Past, max: number | null, amounts: (view: View) => readonly [number, number]) {
        const points = past.all.map(({ at, view }) => [at, ...amounts(view)] as const);
        const peak = Math.max(...points.flatMap(([, a, b]) => [a, b]));
        const height = Math.max(1, max ?? 0, peak);
        const age = past.now - points[0]![0];
        const time = Math.min(HISTORY, Math.max(SHORTEST_CHART, age));
        const x = (at: number) => WIDTH * (1 - (past.now - at) / time);
        const y = (value: number) => HEIGHT - 1 - (HEIGHT - 4) * value / height;
        const line = (i: 1 | 2) => steps(points.map((point) => [x(point[0]), y(point[i])]));
        const first = x(points[0]![0]);
        used.setAttribute("d", `M${first},${HEIGHT}L${line(1)}L${WIDTH},${HEIGHT}Z`);
        waiting.setAttribute("d", `M${line(2)}`);
        bound.setAttribute("y1", String(y(max ?? height)));
        bound.setAttribute("y2", String(y(max ?? height)));
        setText(span, `Last ${duration(time)}: `);
        setText(peakText, `peak ${count(peak)}${max === null ? "" : ` of ${count(max)}`}`);
        const most = ([1, 2] as const).map((i) => Math.max(...points.map((point) => point[i])));
        const words = `Most in the last ${duration(time)}: ${most[0]} in use, ${most[1]} waiting`;
        drawing.setAttribute("aria-label", words);
      },
    };
  }

  function steps(points: readonly (readonly [number, number])[]): string {
    const corners = points.flatMap(([x, y], i) =>
      i === 0 ? [[x, y]] : [[x, points[i - 1]![1]], [x, y]]
    );
    return corners.map(([x, y]) => `${x!.toFixed(1)},${y!.toFixed(1)}`).join("L");
  }

  /** Bars of the last minute, from the shortest to the longest times. */
  function histogram(title: string) {
    const STEP = 20;
    const HEIGHT = 90;
    const bars = svg("g", { class: "bars" });
    const labels = svg("g", { class: "labels" });
    const drawing = svg("svg", { role: "img" }, bars, labels);
    const note = h("p", { class: "note" });
    return {
      element: h("figure", { class: "histogram" }, h("figcaption", {}, title), drawing, note),
      set(times: Times) {
        const { bounds, counts, count: total } = times;
        const most = Math.max(1, ...counts);
        drawing.setAttribute("viewBox", `0 0 ${counts.length * STEP} ${HEIGHT + 16}`);
        bars.replaceChildren(...counts.map((value, i) => {
          const height = value === 0 ? 1 : 3 + (HEIGHT - 6) * value / most;
          const [x, y, width] = [i * STEP + 1, HEIGHT - height, STEP - 2];
          const attributes = { x, y: y.toFixed(1), width, height: height.toFixed(1), rx: 1.5 };
          const texts = Object.entries(attributes).map(([name, each]) => [name, String(each)]);
          return svg("rect", {
            ...Object.fromEntries(texts),
            class: value === 0 ? "none" : "some",
          });
        }));
        labels.replaceChildren(
          ...bounds.flatMap((bound, i) =>
            [1, 10, 100, 1_000, 10_000, 60_000].includes(bound)
              ? [
                svg(
                  "text",
                  { x: String((i + 1) * STEP), y: String(HEIGHT + 13) },
                  bucketLabel(bound),
                ),
              ]
              : []
          ),
        );
        const words = total === 0 ? "none in the last minute" : `median ${quantile(times, 0.5)}, ` +
          `95 % within ${quantile(times, 0.95)}, ${plural(total, "time")} in the last minute`;
        setText(note, words);
        drawing.setAttribute("aria-label", `${title}: ${words}`);
      },
    };
  }

  function bucketLabel(bound: number): string {
    if (bound < 1_000) return `${bound} ms`;
    return bound < 60_000 ? `${bound / 1_000} s` : `${bound / 60_000} min`;
  }

  /** Names with figures, each with a bar that shows its share. */
  function shares(title: string, empty: string) {
    const body = h("tbody");
    const none = h("p", { class: "note" }, empty);
    const rows: Element[][] = [];
    const head = h("thead", {}, headRow(["what", "minute", "all"]));
    const table = h(
      "table",
      { class: "shares" },
      h("caption", {}, title),
      head,
      body,
    );
    return {
      element: h("div", { class: "shares-box" }, table, none),
      set(
        entries: readonly (readonly [name: string, minute: number, all: number, tone?: string])[],
      ) {
        none.hidden = entries.length > 0;
        head.hidden = entries.length === 0;
        const most = Math.max(1, ...entries.map(([, , all]) => all));
        resize(rows, body, entries.length, 3);
        for (const [i, [name, minute, all, tone = ""]] of entries.entries()) {
          const [what, recent, whole] = rows[i]! as [Element, Element, Element];
          setText(what, name);
          setText(recent, minute === 0 ? "–" : `+${count(minute)}`);
          setText(whole, count(all));
          what.className = tone;
          what.style.setProperty("--share", String(all / most));
        }
      },
    };
  }

  /** A table with as many rows as are needed. The first cell of each is its head. */
  function table(title: string, heads: readonly string[], className: string) {
    const body = h("tbody");
    const rows: Element[][] = [];
    const element = h(
      "table",
      { class: className },
      h("caption", {}, title),
      h("thead", {}, headRow(heads)),
      body,
    );
    return {
      // It scrolls on a narrow screen: the keyboard must reach it.
      element: h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": title },
        element,
      ),
      set(entries: readonly (readonly string[])[]) {
        resize(rows, body, entries.length, heads.length);
        for (const [i, entry] of entries.entries()) {
          for (const [j, text] of entry.entries()) setText(rows[i]![j]!, text);
        }
      },
    };
  }

  function headRow(heads: readonly string[]): Element {
    return h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)));
  }

  function resize(rows: Element[][], body: Element, length: number, columns: number): void {
    while (rows.length > length) rowOf.get(rows.pop()!)!.remove();
    while (rows.length < length) {
      const row = Array.from(
        { length: columns },
        (_, i) => i === 0 ? h("th", { scope: "row" }) : h("td"),
      );
      const element = h("tr", {}, ...row);
      rowOf.set(row, element);
      rows.push(row);
      body.append(element);
    }
  }

  const rowOf = new Map<Element[], Element>();

  function frame(view: View, kind: string) {
    const id = `pool-${ids.length}`;
    ids.push(id);
    const verdict = h("p", { class: "verdict" });
    const place = h("span", { class: "place" });
    const dot = h("span", { class: "status", "aria-hidden": "true" });
    const word = h("span", { class: "word" });
    const element = h(
      "section",
      { class: "card", id, "aria-labelledby": `${id}-name`, tabindex: "-1" },
      h(
        "header",
        {},
        h("h2", { id: `${id}-name` }, view.id),
        place,
        h("span", { class: "kind" }, kind),
        verdict,
      ),
    );
    return {
      element,
      link: h("a", { href: `#${id}` }, dot, view.id, " ", word),
      set([level, text]: Verdict, where: string) {
        element.dataset.level = level;
        dot.dataset.level = level;
        setText(word, { good: "", busy: "busy", bad: "in trouble" }[level]);
        setText(verdict, text);
        setText(place, where);
      },
    };
  }

  const ids: string[] = [];

  // --- A pool of connections

  function poolCard(first: PoolView): Card {
    const outside = frame(first, first.kind === "keyed" ? "keyed pool" : "pool");
    const lanes = band("Slots");
    const states = legend([...STATES, ["free", "free"], ["lingering", "lingering"]]);
    const waiters = queue();
    const history = chart();
    const [used, rate, wait, use, dials] = [
      tile("In use"),
      tile("Acquires"),
      tile("Wait, 95 %"),
      tile("Use, 95 %"),
      tile("Dials"),
    ];
    const acquireTimes = histogram("Time to acquire");
    const useTimes = histogram("Time in use");
    const dialTimes = histogram("Time to dial");
    const endings = shares("Dials and retirements", "Nothing was dialled or retired yet.");
    const failures = shares("Callers that got an error", "No caller got an error.");
    const leases = table("Leases", ["held for", "lent", "acquired at"], "leases");
    const keys = table("Keys", ["key", "in use", "idle", "waiting", "longest wait"], "keys");
    const errors = table("Last errors", ["ago", "what was said"], "errors");
    const hint = h("p", { class: "note" });
    keys.element.hidden = first.kind !== "keyed";
    outside.element.append(
      lanes.element,
      states.element,
      waiters.element,
      h("dl", { class: "tiles" }, ...[used, rate, wait, use, dials].map(({ element }) => element)),
      history.element,
      h("div", { class: "grid" }, acquireTimes.element, useTimes.element, dialTimes.element),
      keys.element,
      h(
        "div",
        { class: "grid two" },
        h("div", {}, endings.element, failures.element),
        h("div", {}, leases.element, hint),
      ),
      errors.element,
    );

    return {
      ...outside,
      update(view, past) {
        const pool = view as PoolView;
        const then = past.before(WINDOW).view as PoolView;
        const { stats } = pool;
        const free = Math.max(0, (stats.maxSize ?? stats.size) - stats.size);
        lanes.set(STATES.map(([state]) => [state, stats[state]]), stats.maxSize);
        states.set([...STATES.map(([state]) => stats[state]), free, stats.lingering]);
        waiters.set(stats.waiting, waitText(pool));
        history.set(past, stats.maxSize, (view) => {
          const { leased, waiting } = (view as PoolView).stats;
          return [leased, waiting];
        });
        const acquire = since(pool.acquire, then.acquire);
        const useOf = since(pool.use, then.use);
        used.set(`${count(stats.leased)} / ${count(stats.maxSize)}`, `${count(stats.idle)} idle`);
        rate.set(
          `${rateText(rateOf(past, (view) => (view as PoolView).acquire.count))}/s`,
          `${count(pool.acquire.count)} in all`,
        );
        wait.set(quantile(acquire, 0.95), `median ${quantile(acquire, 0.5)}`);
        use.set(quantile(useOf, 0.95), `median ${quantile(useOf, 0.5)}`);
        dials.set(
          `${rateText(rateOf(past, (view) => sum({ ...(view as PoolView).stats.dials })))}/s`,
          `${count(stats.dials.failed)} failed`,
        );
        acquireTimes.set(acquire);
        useTimes.set(useOf);
        dialTimes.set(since(pool.dial, then.dial));
        endings.set(endingsOf(pool, past));
        failures.set(failuresOf(pool, past));
        leases.set(pool.leases.slice(0, MOST_LEASES).map(leaseRow));
        setText(hint, hintFor(pool));
        hint.hidden = hint.textContent === "";
        const said = errorRows(pool);
        errors.set(said);
        errors.element.hidden = said.length === 0;
        keys.set((pool.keys ?? []).map(keyRow));
        const verdict = judge(pool, past);
        outside.set(
          verdict,
          pool.place ?? (pool.keyCount === undefined ? "" : plural(pool.keyCount, "key")),
        );
        return verdict[0];
      },
    };
  }

  /** The state of the pool, in one sentence. */
  function judge(pool: PoolView, past: Past): Verdict {
    const { stats, leases } = pool;
    const lately = (amount: (view: PoolView) => number) =>
      difference(past, RECENT * 2, (view) => amount(view as PoolView));
    if (pool.state !== "open") return ["bad", `The pool is ${pool.state}.`];
    if (isFailing(pool)) {
      return ["bad", `Dials fail: ${pool.failures[0]?.error ?? pool.lastError?.text ?? ""}`];
    }
    const longest = duration(pool.longestWait);
    const full = stats.maxSize !== null && stats.leased >= stats.maxSize;
    if (stats.waiting > 0 && pool.longestWait >= LONG_WAIT) {
      const why = full
        ? `All ${count(stats.maxSize)} are in use`
        : pool.waitingFor || "Nothing is free";
      return [
        "bad",
        `${why}; ${plural(stats.waiting, "caller")} waiting, the longest for ${longest}.`,
      ];
    }
    const lost = lately(({ stats: { retired } }) =>
      retired.lost + retired.broken + retired.unhealthy
    );
    if (lost > 0) return ["busy", `${plural(lost, "connection")} lost in the last ten seconds.`];
    const oldest = leases[0];
    if (oldest !== undefined && oldest.held >= LONG_LEASE) {
      return ["busy", `A lease has been held for ${duration(oldest.held)}.`];
    }
    if (pool.longestWait >= NOTABLE_WAIT) {
      return ["busy", `${plural(stats.waiting, "caller")} waiting, the longest for ${longest}.`];
    }
    return ["good", `${count(stats.leased)} of ${count(stats.maxSize)} in use, no long wait.`];
  }

  /** Whether a dial has failed in the last minute without a later success, as far as is known. */
  function isFailing({ failures: [last], youngest = Infinity }: PoolView): boolean {
    return last !== undefined && last.ago < Math.min(WINDOW, youngest);
  }

  function waitText({ stats, stages, longestWait }: PoolView): string {
    if (stats.waiting === 0) return "Nobody waits";
    const words: Record<string, string> = {
      wait: "for a release",
      admit: "for leave to dial",
      connect: "for a dial",
      init: "for init",
      check: "for a check",
    };
    const parts = Object.entries(stages).map(([stage, amount]) =>
      `${count(amount)} ${words[stage] ?? stage}`
    );
    const longest = `longest ${duration(longestWait)}`;
    return `${plural(stats.waiting, "caller")} waiting (${[...parts, longest].join(", ")})`;
  }

  function endingsOf(pool: PoolView, past: Past) {
    const minute = (amount: (view: PoolView) => number) =>
      difference(past, WINDOW, (view) => amount(view as PoolView));
    const { dials, retired } = pool.stats;
    const reasons = Object.keys(retired) as (keyof typeof retired)[];
    const all: [string, number, number, string][] = [
      ["dialled", minute(({ stats }) => stats.dials.ok), dials.ok, "fine"],
      ["dial failed", minute(({ stats }) => stats.dials.failed), dials.failed, "wrong"],
      ...reasons.map((reason): [string, number, number, string] => [
        `retired: ${reason}`,
        minute(({ stats }) => stats.retired[reason]),
        retired[reason],
        "",
      ]),
    ];
    return all.filter(([, , amount]) => amount > 0);
  }

  function failuresOf(pool: PoolView, past: Past) {
    return Object.entries(pool.rejected).map(([type, amount]) =>
      [
        type,
        difference(past, WINDOW, (view) => (view as PoolView).rejected[type] ?? 0),
        amount,
        "wrong",
      ] as const
    );
  }

  function leaseRow(lease: PoolView["leases"][number]): string[] {
    const { held, uses, acquiredAt, key } = lease;
    const place = acquiredAt?.trim().split("\n")[0]?.replace(/^\s*at /, "") ?? "–";
    return [duration(held), `${count(uses)}×`, key === undefined ? place : `${key}: ${place}`];
  }

  function hintFor({ stats, leases, leaks, lastLeak }: PoolView): string {
    const parts: string[] = [];
    const shown = Math.min(leases.length, MOST_LEASES);
    if (stats.leased === 0) parts.push("Nothing is in use.");
    if (shown < stats.leased) {
      parts.push(`${plural(stats.leased - shown, "lease")} more, held for less.`);
    }
    if (leases.length > 0 && leases.every(({ acquiredAt }) => acquiredAt === undefined)) {
      parts.push("Where they were acquired is known with the pool's option track.");
    }
    if (lastLeak !== undefined) {
      const [at] = lastLeak.acquiredAt.trim().split("\n");
      parts.push(`${plural(leaks, "lease")} reported as leaked, the last from ${at}.`);
    }
    return parts.join(" ");
  }

  /** The last errors, the latest first. The same text stands once. */
  function errorRows({ failures, lastError }: PoolView): string[][] {
    const texts = new Map<string, { ago: number; times: number }>();
    const add = (text: string, ago: number) => {
      const known = texts.get(text);
      if (known === undefined) texts.set(text, { ago, times: 1 });
      else known.times++;
    };
    for (const { ago, error, key } of failures) {
      add(key === undefined ? error : `${key}: ${error}`, ago);
    }
    const isNew = lastError !== undefined &&
      !failures.some(({ error }) => error === lastError.text);
    if (isNew) add(`${lastError.source}: ${lastError.text}`, lastError.ago);
    return [...texts].map(([text, { ago, times }]) => [
      duration(ago),
      times === 1 ? text : `${text} (${count(times)} times)`,
    ]);
  }

  function keyRow({ key, leased, maxSize, idle, waiting, longestWait }: KeyView): string[] {
    const wait = waiting === 0 ? "–" : duration(longestWait);
    return [key, `${count(leased)} / ${count(maxSize)}`, count(idle), count(waiting), wait];
  }

  // --- A pool of tasks

  function taskCard(first: TaskView): Card {
    const outside = frame(first, "task pool");
    const lanes = band("Slots");
    const states = legend([
      ["leased", "running"],
      ["closing", "overdue"],
      ["free", "free"],
    ]);
    const queued = queue();
    const history = chart();
    const [running, rate, wait, run, failed] = [
      tile("Running"),
      tile("Ended"),
      tile("Queued, 95 %"),
      tile("Run time, 95 %"),
      tile("Failed"),
    ];
    const waitTimes = histogram("Time queued");
    const runTimes = histogram("Run time");
    outside.element.append(
      lanes.element,
      states.element,
      queued.element,
      h(
        "dl",
        { class: "tiles" },
        ...[running, rate, wait, run, failed].map(({ element }) => element),
      ),
      history.element,
      h("div", { class: "grid two" }, waitTimes.element, runTimes.element),
    );
    return {
      ...outside,
      update(view, past) {
        const { stats, ...tasks } = view as TaskView;
        const then = past.before(WINDOW).view as TaskView;
        const busy = stats.running - stats.overdue;
        lanes.set([["leased", busy], ["closing", stats.overdue]], stats.size);
        states.set([busy, stats.overdue, Math.max(0, (stats.size ?? busy) - stats.running)]);
        queued.set(
          stats.queued,
          stats.queued === 0 ? "None queued" : `${count(stats.queued)} queued`,
        );
        history.set(past, stats.size, (view) => {
          const { running, queued } = (view as TaskView).stats;
          return [running, queued];
        });
        const ended = ({ stats }: TaskView) => stats.fulfilled + stats.rejected + stats.cancelled;
        const waits = since(tasks.wait, then.wait);
        const runs = since(tasks.run, then.run);
        running.set(
          `${count(stats.running)} / ${count(stats.size)}`,
          `${count(stats.queued)} queued`,
        );
        rate.set(
          `${rateText(rateOf(past, (view) => ended(view as TaskView)))}/s`,
          `${count(ended(view as TaskView))} in all`,
        );
        wait.set(quantile(waits, 0.95), `median ${quantile(waits, 0.5)}`);
        run.set(quantile(runs, 0.95), `median ${quantile(runs, 0.5)}`);
        failed.set(count(stats.rejected), `${count(stats.cancelled)} cancelled`);
        waitTimes.set(waits);
        runTimes.set(runs);
        const verdict: Verdict = stats.overdue > 0
          ? [
            "bad",
            `${plural(stats.overdue, "task")} overdue: timed out or cancelled, and still running.`,
          ]
          : stats.queued > 0 && timeOf(waits, 0.95) >= LONG_WAIT
          ? ["busy", `${plural(stats.queued, "task")} queued, and for long.`]
          : ["good", `${count(stats.running)} of ${count(stats.size)} running.`];
        outside.set(verdict, "");
        return verdict[0];
      },
    };
  }

  // --- The page

  const cards = new Map<string, Card>();
  let frames: Snapshot[] = [];
  let paused = false;
  let timer: number | undefined;
  const byId = (id: string) => document.getElementById(id)!;
  const status = byId("state");

  function pastOf(id: string, now: number): Past {
    const all = frames.flatMap(({ at, pools }) => {
      const view = pools.find((view) => view.id === id);
      return view === undefined ? [] : [{ at, view }];
    });
    const before = (age: number) => all.findLast(({ at }) => now - at >= age) ?? all[0]!;
    return { all, before, now };
  }

  function show(snapshot: Snapshot): void {
    const last = frames.at(-1);
    if (last?.at === snapshot.at) return; // unchanged
    frames = [...frames.filter(({ at }) => snapshot.at - at <= HISTORY), snapshot];
    const levels: Level[] = [];
    for (const view of snapshot.pools) {
      levels.push(cardOf(view).update(view, pastOf(view.id, snapshot.at)));
    }
    setText(status, summary(levels));
    status.dataset.level = levels.includes("bad")
      ? "bad"
      : levels.includes("busy")
      ? "busy"
      : "good";
  }

  function summary(levels: readonly Level[]): string {
    const bad = levels.filter((level) => level === "bad").length;
    const busy = levels.filter((level) => level === "busy").length;
    const parts = [plural(levels.length, "pool")];
    if (bad > 0) parts.push(`${count(bad)} in trouble`);
    if (busy > 0) parts.push(`${count(busy)} busy`);
    if (bad + busy === 0) parts.push("all calm");
    return parts.join(", ");
  }

  function cardOf(view: View): Card {
    const known = cards.get(view.id);
    if (known !== undefined) return known;
    const card = view.kind === "tasks" ? taskCard(view) : poolCard(view);
    cards.set(view.id, card);
    byId("pools").append(card.element);
    byId("links").append(h("li", {}, card.link));
    return card;
  }

  async function refresh(): Promise<void> {
    try {
      const response = await browser.fetch("stats.json");
      if (!response.ok) throw new Error(`The server says ${response.status}`);
      const snapshot = await response.json() as Snapshot;
      if (!paused) show(snapshot);
    } catch {
      setText(status, "No answer: asking again");
      status.dataset.level = "bad";
    }
  }

  async function loop(): Promise<void> {
    browser.clearTimeout(timer);
    timer = undefined;
    if (paused || document.hidden) return;
    await refresh();
    browser.clearTimeout(timer);
    timer = browser.setTimeout(() => void loop(), interval);
  }

  const button = byId("pause");
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    void loop();
  });
  document.addEventListener("visibilitychange", () => void loop());
  void loop();
}
