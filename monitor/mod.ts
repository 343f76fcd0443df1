/**
 * A web handler that shows pools: a live page, JSON, and the text format of Prometheus.
 *
 * @module
 */

import {
  checkOptions,
  nonEmptyString,
  positiveDuration,
  type Rule,
  typed,
} from "../internal/validate.ts";
import { together } from "../telemetry/events.ts";
import type {
  AnyPool,
  ObservableKeyedPool,
  ObservablePool,
  ObservableTaskPool,
} from "../telemetry/observable.ts";
import { page } from "./_page.ts";
import { prometheus, PROMETHEUS_TYPE } from "./_prometheus.ts";
import { type Snapshot, watch, type Watched } from "./_snapshot.ts";

export type { AnyPool, ObservableKeyedPool, ObservablePool, ObservableTaskPool };

/** Options of a monitor. */
export interface MonitorOptions {
  /**
   * What stands at the head of the page.
   *
   * @default {"Pools"}
   */
  title?: string | undefined;
  /**
   * How often the page asks for figures, in milliseconds.
   *
   * @default {1_000}
   */
  interval?: number | undefined;
  /**
   * Whether a request may be answered: `false` is answered with 403, a response is
   * sent instead. By default all are.
   */
  authorize?: ((request: Request) => Authorization | PromiseLike<Authorization>) | undefined;
}

/** What `authorize` answers. */
export type Authorization = boolean | Response;

/** Answers requests for a monitor's page and figures. Disposing of it ends the watch. */
export interface MonitorHandler extends Disposable {
  /** Answers a request. */
  (request: Request): Promise<Response>;
}

/** How long one snapshot serves all requests, in milliseconds. */
const MAX_AGE = 500;

const SHORTEST_INTERVAL = 250;

const RULES: Record<keyof MonitorOptions, Rule> = {
  title: nonEmptyString,
  interval: positiveDuration,
  authorize: typed("function"),
};

const SECURITY = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
};

/**
 * Creates a handler of web requests that shows pools. Under any path where it is mounted,
 * it answers:
 *
 * - `…/` with a page that shows each pool live,
 * - `…/metrics` with the text format of Prometheus,
 * - `…/stats.json` with the same figures as JSON.
 *
 * **It must not face the internet.** It shows hosts, errors, keys, and the files and
 * lines of leases. Serve it on a port that only operators can reach, or have
 * `authorize` decide.
 *
 * Pools are watched by hooks from now on, until the handler is disposed of. Their figures
 * are taken at most twice a second, however many clients there are.
 *
 * @param pools The pools, by the names under which they are shown.
 * @param options A title, and who may see it.
 * @returns A handler, for `Deno.serve` say.
 * @throws {TypeError | RangeError} If an option is not valid.
 *
 * @example
 * ```ts
 * import { Pool, tcp } from "@x/sockpool";
 * import { monitor } from "@x/sockpool/monitor";
 *
 * await using cache = new Pool(tcp({ hostname: "127.0.0.1", port: 6379 }));
 * using handler = monitor({ cache });
 * await using server = Deno.serve({ hostname: "127.0.0.1", port: 0 }, handler);
 * const metrics = await fetch(`http://127.0.0.1:${server.addr.port}/metrics`);
 * console.log((await metrics.text()).split("\n")[2]); // db_client_connection_count{…} 0
 * ```
 */
export function monitor(
  pools: Readonly<Record<string, AnyPool>>,
  options: MonitorOptions = {},
): MonitorHandler {
  checkOptions(options, RULES, "make a monitor");
  const { title = "Pools", interval = 1_000, authorize = () => true } = options;
  const watched = Object.entries(pools).map(([id, pool]) => watch(id, pool));
  const site = new Site(watched, title, Math.max(interval, SHORTEST_INTERVAL));
  const handler = async (request: Request): Promise<Response> => {
    const answer = await authorize(request);
    if (answer instanceof Response) return answer;
    return answer ? site.respond(request) : text(403, "Forbidden");
  };
  return Object.assign(handler, { [Symbol.dispose]: () => together(watched)[Symbol.dispose]() });
}

class Site {
  readonly #watched: readonly Watched[];
  readonly #title: string;
  readonly #interval: number;
  #taken = -Infinity;
  #snapshot!: Snapshot;
  /** The texts of the snapshot. */
  #texts = new Map<string, string>();

  constructor(watched: readonly Watched[], title: string, interval: number) {
    this.#watched = watched;
    this.#title = title;
    this.#interval = interval;
  }

  respond(request: Request): Response {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return text(405, "Method not allowed", { allow: "GET, HEAD" });
    }
    const { pathname } = new URL(request.url);
    const last = pathname.slice(pathname.lastIndexOf("/") + 1);
    switch (last) {
      case "":
        return this.#page();
      case "metrics":
        return this.#figures(PROMETHEUS_TYPE, prometheus);
      case "stats.json":
        return this.#figures("application/json", JSON.stringify);
      default: // the mount path is not known: this may be it, and the links are relative
        if (last.includes(".")) return text(404, "Not found");
        return text(308, "The page is here, with a slash", { location: `./${last}/` });
    }
  }

  #page(): Response {
    const { html, policy } = page(this.#title, this.#interval);
    return new Response(html, {
      headers: {
        ...SECURITY,
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": policy,
      },
    });
  }

  #figures(type: string, write: (snapshot: Snapshot) => string): Response {
    const snapshot = this.#current();
    const body = this.#texts.get(type) ?? write(snapshot);
    this.#texts.set(type, body);
    return new Response(body, { headers: { ...SECURITY, "content-type": type } });
  }

  /** One snapshot for all requests within its time. */
  #current(): Snapshot {
    const now = performance.now();
    if (now - this.#taken < MAX_AGE) return this.#snapshot;
    this.#taken = now;
    this.#snapshot = { at: Date.now(), pools: this.#watched.map((each) => each.view()) };
    this.#texts.clear();
    return this.#snapshot;
  }
}

function text(status: number, body: string, headers: Record<string, string> = {}): Response {
  return new Response(`${body}\n`, {
    status,
    headers: { ...SECURITY, "content-type": "text/plain; charset=utf-8", ...headers },
  });
}
