/**
 * Spans of acquires, each a child of its caller's span, and of dials, each a child of the
 * acquire that has waited longest when it ends, which will get the resource.
 *
 * @module
 */

import type { PoolHooks } from "../pool/mod.ts";
import { contextOf } from "./_providers.ts";
import type { Attributes, Context, Span, SpanOptions, Tracer } from "./opentelemetry.ts";
import { LABELS } from "./metrics.ts";
import { errorType, isOfDial, keyText, observe, together } from "./events.ts";
import { isKeyedPool, type ObservableKeyedPool, type ObservablePool } from "./observable.ts";

const INTERNAL = 0;
const CLIENT = 2;
const ERROR = 2;

type Call = (...args: unknown[]) => Promise<unknown>;
type Callable = Record<"acquire" | "use", Call>;

/** Creates spans for a pool from now on. */
export function trace(
  pool: ObservablePool | ObservableKeyedPool,
  tracer: Tracer,
  attributes: Attributes,
): Disposable {
  const spans = new Spans(tracer, attributes);
  const hooks = observe(
    pool,
    (key) => spans.hooksFor(key, () => "place" in pool ? pool.place : undefined),
  );
  return together([hooks, wrapCalls(pool, spans)]);
}

/**
 * Hooks run in the context in which a lease happens to be granted. Only the call itself is
 * in the context of its caller, so the methods are wrapped.
 */
function wrapCalls(pool: ObservablePool | ObservableKeyedPool, spans: Spans): Disposable {
  const target = pool as unknown as Callable;
  const { acquire, use } = target;
  const first = isKeyedPool(pool) ? 1 : 0;
  const keyOf = (args: unknown[]) => first === 1 ? keyText(args[0]) : undefined;

  const wrapped: Callable = {
    async acquire(...args) {
      const span = spans.begin(keyOf(args));
      try {
        const lease = await acquire.apply(pool, args);
        span.end(lease);
        return lease;
      } catch (error) {
        span.fail(error);
        throw error;
      }
    },
    async use(...args) {
      const body = args[first];
      if (typeof body !== "function") return await use.apply(pool, args); // which refuses it
      let span = spans.begin(keyOf(args));
      let runs = 0;
      const wrappedBody = async (lease: unknown) => {
        if (runs++ > 0) span = spans.begin(keyOf(args)); // a retry, of which only the lease is seen
        span.end(lease);
        return await body(lease);
      };
      try {
        return await use.apply(pool, args.with(first, wrappedBody));
      } catch (error) {
        span.fail(error);
        throw error;
      }
    },
  };

  Object.assign(target, wrapped);
  return {
    [Symbol.dispose]() {
      for (const name of ["acquire", "use"] as const) {
        if (target[name] === wrapped[name]) Reflect.deleteProperty(target, name);
      }
    },
  };
}

const NO_SPAN: Span = { setAttribute() {}, setStatus() {}, end() {} };

/** The spans of one pool. */
class Spans {
  readonly #tracer: Tracer;
  readonly #attributes: Attributes;
  /** The pending acquires by key, the oldest first. */
  readonly #open = new Map<string | undefined, Set<AcquireSpan>>();

  constructor(tracer: Tracer, attributes: Attributes) {
    this.#tracer = tracer;
    this.#attributes = attributes;
  }

  /** An acquire begins. */
  begin(key: string | undefined): AcquireSpan {
    const attributes = this.#attributesOf(key);
    const span = this.#start("sockpool.acquire", { kind: INTERNAL, attributes });
    const open = this.#open.get(key) ?? new Set();
    this.#open.set(key, open);
    const acquire = new AcquireSpan(span, () => {
      open.delete(acquire);
      if (open.size === 0 && this.#open.get(key) === open) this.#open.delete(key);
    });
    open.add(acquire);
    return acquire;
  }

  hooksFor(key: string | undefined, place: () => string | undefined): PoolHooks {
    return {
      onConnect: ({ duration }) => this.#dial(key, duration, place()).end(),
      onError: ({ error, source }) => {
        if (!isOfDial(source)) return;
        const span = this.#dial(key, 0, place());
        fail(span, error);
        span.end();
      },
    };
  }

  #dial(key: string | undefined, duration: number, place: string | undefined): Span {
    const parent = this.#open.get(key)?.values().next().value;
    const options = {
      kind: CLIENT,
      attributes: { ...this.#attributesOf(key), ...addressOf(place) },
      startTime: Date.now() - duration,
    };
    const name = "sockpool.connect";
    if (parent === undefined) return this.#start(name, { ...options, root: true });
    return this.#start(name, options, contextOf(parent.span));
  }

  /** If a tracer fails, only its spans are lost. */
  #start(name: string, options: SpanOptions, context?: Context): Span {
    try {
      return this.#tracer.startSpan(name, options, context);
    } catch {
      return NO_SPAN;
    }
  }

  #attributesOf(key: string | undefined): Attributes {
    return key === undefined ? this.#attributes : { ...this.#attributes, [LABELS.key]: key };
  }
}

/** One pending call. */
class AcquireSpan {
  readonly span: Span;
  readonly #onEnd: () => void;
  #ended = false;

  constructor(span: Span, onEnd: () => void) {
    this.span = span;
    this.#onEnd = onEnd;
  }

  end(lease: unknown): void {
    if (this.#ended) return;
    const { reused } = lease as { reused?: unknown };
    if (typeof reused === "boolean") this.span.setAttribute("sockpool.lease.reused", reused);
    this.#finish();
  }

  fail(error: unknown): void {
    if (this.#ended) return;
    fail(this.span, error);
    this.#finish();
  }

  #finish(): void {
    this.#ended = true;
    this.span.end();
    this.#onEnd();
  }
}

function fail(span: Span, error: unknown): void {
  const type = errorType(error);
  span.setAttribute(LABELS.error, type);
  span.setStatus({ code: ERROR, message: type });
}

/** `tcp://10.0.0.5:6379` by the conventions' names, without the proxy on the way. */
function addressOf(place: string | undefined): Attributes {
  const [, address, port] = /^\w+:\/\/(.+?):(\d+)(?: through \S+)?$/.exec(place ?? "") ?? [];
  if (address === undefined) return {};
  return { "server.address": address, "server.port": Number(port) };
}
