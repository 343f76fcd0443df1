import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { KeyedPool, Pool, TaskPool, tcp } from "../../mod.ts";
import { type AnyPool, monitor } from "../../monitor/mod.ts";
import { EchoProcess } from "../support/child.ts";
import { EchoServer } from "../support/echo_server.ts";
import { until } from "../support/until.ts";
import { needs, pathOf, PROCESS } from "../support/needs.ts";
import type { Browser, Page } from "./_npm.ts";

/** The browser driver reads files of the system, which needs `--allow-all`. */
const NEEDED = {
  permissions: [...PROCESS.permissions!, "sys", "ffi"] as const,
  programs: ["chromium"],
};

/** A text that shows missing escapes. */
const NASTY = `<img src=x onerror=alert(1)>"'&\n</script>`;

/** The behaviours of the page by name; all run in one browser, which takes seconds to start. */
const behaviours: Record<string, (chromium: Chromium, t: Deno.TestContext) => Promise<void>> = {};

/** A browser that is started for one test and opens pages. */
class Chromium implements AsyncDisposable {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async start(): Promise<Chromium> {
    const { chromium } = await import("./_npm.ts"); // it needs permissions when it is loaded
    return new Chromium(
      await chromium.launch({ executablePath: pathOf("chromium"), args: ["--no-sandbox"] }),
    );
  }

  async open(pools: Record<string, AnyPool>, options: OpenOptions = {}): Promise<Opened> {
    const { path = "/", ...context } = options;
    const handler = monitor(pools, { title: "Test", interval: 250 });
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) =>
        new URL(request.url).pathname.startsWith(path)
          ? handler(request)
          : new Response("Elsewhere", { status: 404 }),
    );
    const page = await (await this.#browser.newContext(context)).newPage();
    const opened = new Opened(page, server, handler);
    await page.goto(`${opened.origin}${path}`);
    return opened;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
  }
}

interface OpenOptions {
  readonly path?: string;
  readonly colorScheme?: "light" | "dark";
  readonly viewport?: { width: number; height: number };
}

/** An open page and its errors. */
class Opened implements AsyncDisposable {
  readonly origin: string;
  readonly errors: string[] = [];
  readonly requests: string[] = [];

  constructor(
    readonly page: Page,
    readonly server: Deno.HttpServer<Deno.NetAddr>,
    readonly handler: Disposable,
  ) {
    this.origin = `http://127.0.0.1:${server.addr.port}`;
    page.on("pageerror", (error) => this.errors.push(String(error)));
    page.on("console", (message) => this.errors.push(message.text()));
    page.on("request", (request) => this.requests.push(request.url()));
  }

  /** Waits until a part of the page has this text. */
  async says(selector: string, text: string | RegExp): Promise<void> {
    await this.page.locator(selector).filter({ hasText: text }).first().waitFor();
  }

  async textOf(selector: string): Promise<string> {
    return await this.page.locator(selector).first().textContent() ?? "";
  }

  async evaluate<R>(code: string): Promise<R> {
    return await this.page.evaluate(code) as R;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
    this.handler[Symbol.dispose]();
    await this.server.shutdown();
  }
}

behaviours["figures of a pool under load, of its keys and of tasks are live"] = async (
  chromium,
) => {
  await using server = EchoServer.listen();
  const connector = tcp({ hostname: "127.0.0.1", port: server.port });
  await using pool = new Pool(connector, { maxSize: 4, track: true });
  await using hosts = new KeyedPool((_key: string) => connector, { maxSize: 6, maxPerKey: 2 });
  await using tasks = new TaskPool(2);
  await using opened = await chromium.open({ pool, hosts, tasks }, { path: "/ops/pools/" });
  await opened.says("#state", "3 pools, all calm");

  const leases = [];
  for (let i = 0; i < 4; i++) leases.push(await pool.acquire());
  const waiting = [pool.acquire(), pool.acquire(), pool.acquire()];
  const ofA = [await hosts.acquire("a"), await hosts.acquire("a")];
  const third = hosts.acquire("a");
  const ofB = await hosts.acquire("b");
  let finish!: () => void;
  const finished = new Promise<void>((resolve) => finish = resolve);
  const running = Array.from({ length: 5 }, () => tasks.run(() => finished));

  await opened.says("#pool-0 .tile", "In use4 / 4");
  await opened.says("#pool-0 .queue", "3 callers waiting (3 for a release, longest");
  await opened.says("#pool-0 .verdict", "waiting");
  assertEquals(await opened.page.locator("#pool-0 .band .leased").count(), 4);
  assertEquals(await opened.page.locator("#pool-0 .dot").count(), 3);
  assertEquals(await opened.page.locator("#pool-0 .leases tbody tr").count(), 4);
  await opened.says("#pool-0 .leases tbody td", /page_process_test\.ts:\d+/); // by `track`

  await opened.says("#pool-1 .keys tbody tr", /^a2 \/ 201/);
  await opened.says("#pool-1 .keys tbody tr", /^b1 \/ 200–$/);
  await opened.says("#pool-2 .tile", "Running2 / 2");
  await opened.says("#pool-2 .queue", "3 queued");

  leases.forEach((lease) => lease.release());
  for (const lease of await Promise.all(waiting)) lease.release();
  await opened.says("#pool-0 .tile", "In use0 / 4");
  await opened.says("#pool-0 .histogram", /Time in use.*7 times in the last minute/);
  await opened.says("#pool-0 .shares", "dialled+44");
  [...ofA, ofB].forEach((lease) => lease.discard());
  (await third).release();
  await opened.says("#pool-1 .shares", "retired: discarded+33");
  finish();
  await Promise.all(running);
  await opened.says("#pool-2 .tile", /^Ended.*5 in all$/);

  assertEquals(opened.errors, []);
  const foreign = opened.requests.filter((url) =>
    !url.startsWith(`${opened.origin}/ops/pools/`) && !url.startsWith("data:")
  );
  assertEquals(foreign, []);
};

behaviours["it tells a stalled server, one that is down, and one that is back"] = async (
  chromium,
) => {
  await using server = await EchoProcess.start();
  await using pool = new Pool(
    tcp({ hostname: "127.0.0.1", port: server.port, ioTimeout: 60_000 }),
    { maxSize: 2, acquireTimeout: 60_000 },
  );
  await using opened = await chromium.open({ pool });
  const files = await Deno.makeTempDir();
  const message = new TextEncoder().encode("hello\n");
  const ask = () =>
    pool.use(async (conn) => {
      await conn.writeAll(message);
      await conn.readUntil("\n");
    });
  await pool.warm(2);
  await ask();
  await opened.says("#pool-0 .verdict", "0 of 2 in use, no long wait.");

  await server.tell("pause", `${files}/paused`); // it stops reading
  await until(() => [...Deno.readDirSync(files)].length > 0);
  await Deno.remove(files, { recursive: true });
  const asked = [ask(), ask(), ask()].map((each) => each.catch(() => {}));
  await opened.says("#pool-0 .verdict", /All 2 are in use; \d callers? waiting, the longest for/);
  assertEquals(await opened.page.locator("#pool-0").getAttribute("data-level"), "bad");

  await server.kill();
  await Promise.all(asked);
  await ask().catch(() => {});
  await opened.says("#pool-0 .verdict", "Dials fail: ConnectionRefused");
  await opened.says("#pool-0 .errors", "ConnectionRefused");
  await opened.says("#pool-0 .shares", /^Callers that got an error.*ConnectionRefused/);
  await opened.says("#links", "pool in trouble");

  await server.start();
  await ask();
  await opened.says("#pool-0 .shares", "dialled");
  await opened.says("#pool-0 .legend", "1idle");
  assertEquals(opened.errors, []);
};

behaviours["it can be used by keyboard, and is there for a screen reader"] = async (chromium) => {
  await using pool = new Pool(() => ({}), { name: "things" });
  await using opened = await chromium.open({ one: pool, other: pool });
  const { page } = opened;
  await opened.says("#links", "one");
  const focused = () =>
    opened.evaluate<string>(
      "document.activeElement.id || document.activeElement.textContent.trim()",
    );

  await page.keyboard.press("Tab");
  assertEquals(await focused(), "Skip to the pools");
  assert(
    await opened.evaluate<boolean>("document.activeElement.getBoundingClientRect().left >= 0"),
  );
  await page.keyboard.press("Tab");
  assertEquals(await focused(), "pause");
  await page.keyboard.press("Space");
  assertEquals(await page.locator("#pause").getAttribute("aria-pressed"), "true");
  const asked = opened.requests.length;
  await page.keyboard.press("Space");
  assertEquals(await page.locator("#pause").getAttribute("aria-pressed"), "false");
  await page.waitForRequest(/stats\.json$/);
  assert(opened.requests.length > asked);
  const stops = [];
  for (let i = 0; i < 4; i++) {
    await page.keyboard.press("Tab");
    stops.push(await focused());
  }
  assertEquals(stops, ["Prometheus", "JSON", "one", "other"]);
  await page.keyboard.press("Enter");
  assertEquals(await opened.evaluate("location.hash"), "#pool-1");
  await page.keyboard.press("Tab"); // the scrolling area is next, since it has no other focusable element
  assert(await opened.evaluate("document.activeElement.closest('#pool-1') !== null"));

  const tree = await page.locator("body").ariaSnapshot();
  for (
    const part of [
      'heading "Test" [level=1]',
      "status: 2 pools, all calm",
      'button "Pause"',
      'navigation "Pools"',
      'region "one"',
      'heading "one" [level=2]',
      'img "Slots: 10 free"',
      'img "Time to acquire: none in the last minute"',
      'table "Dials and retirements"',
      'columnheader "held for"',
    ]
  ) assertStringIncludes(tree, part);
  const silent = await opened.evaluate<number>(
    "document.querySelectorAll('svg:not([aria-label]), table:not(:has(caption))').length",
  );
  assertEquals(silent, 0);
  assertEquals(opened.errors, []);
};

behaviours["names, keys and errors are text, whatever is in them"] = async (chromium) => {
  const connector = {
    place: NASTY,
    connect(): { close(): void } {
      throw Object.assign(new Error(NASTY), { name: NASTY });
    },
    isRetryable: () => false,
  };
  await using pool = new Pool(connector, { name: NASTY });
  await using keyed = new KeyedPool((_key: string) => () => ({}));
  await using opened = await chromium.open({ [NASTY]: pool, keyed });
  await pool.acquire().catch(() => {});
  using _lease = await keyed.acquire(NASTY);
  await opened.says("#pool-0 .errors", "<img src=x onerror=alert(1)>");
  await opened.says("#pool-1 .keys", "<img src=x onerror=alert(1)>");
  assertEquals(await opened.textOf("#pool-0 h2"), NASTY);
  assertEquals(await opened.page.locator("img").count(), 0);
  assertEquals(opened.errors, []);
};

/** The least contrast of texts with their background, by WCAG. */
const CONTRAST = `(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const texts = [...document.querySelectorAll("h1, h2, p, a, button, li, dt, dd, th, td, caption, figcaption, footer")];
  const contrasts = texts.filter((each) => each.textContent.trim() !== "" && each.closest(".zero, .skip") === null)
    .map((each) => {
      const [a, b] = [luminance(rgba(getComputedStyle(each).color)), luminance(behind(each))].sort((a, b) => b - a);
      return [(a + 0.05) / (b + 0.05), each.textContent.slice(0, 30)];
    });
  return contrasts.sort(([a], [b]) => a - b)[0];
})()`;

behaviours["it can be read in light and dark, and fits a phone"] = async (chromium, t) => {
  await using server = EchoServer.listen();
  await using pool = new Pool(tcp({ hostname: "127.0.0.1", port: server.port }), { maxSize: 40 });
  await using hosts = new KeyedPool((key: string) => () => ({ key }));
  using _lease = await pool.acquire();
  using _ofKey = await hosts.acquire("a-host-with-a-long-name.in.some-region.example:65535");
  await pool.acquire({ signal: AbortSignal.abort("no") }).catch(() => {});
  for (const colorScheme of ["light", "dark"] as const) {
    await t.step(colorScheme, async () => {
      const viewport = { width: 360, height: 740 };
      await using opened = await chromium.open({ pool, hosts }, { colorScheme, viewport });
      await opened.says("#pool-1 .keys", "a-host");
      const [contrast, text] = await opened.evaluate<[number, string]>(CONTRAST);
      assert(contrast >= 4.5, `${text}: ${contrast}`);
      assert(await opened.evaluate<number>("document.documentElement.scrollWidth") <= 360);
      const background = await opened.evaluate<string>(
        "getComputedStyle(document.body).backgroundColor",
      );
      assertMatch(background, colorScheme === "light" ? /\(2\d\d/ : /\(\d\d,|\(\d,/);
      assertEquals(opened.errors, []);
    });
  }
};

Deno.test({
  ...needs("monitor: the page, in a real browser", NEEDED),
  async fn(t) {
    await using chromium = await Chromium.start();
    for (const [name, behaviour] of Object.entries(behaviours)) {
      await t.step(name, (t) => behaviour(chromium, t));
    }
  },
});
