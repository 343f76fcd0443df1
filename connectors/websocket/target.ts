import { oneLine } from "../../internal/text.ts";
import type { ConnectorContext } from "../../pool/connector.ts";
import { checkedHeaders, checkedUrl, SUBJECT } from "./options.ts";

/** The parameters of a dial. */
export interface Target {
  readonly url: URL;
  readonly init: WebSocketOptions;
}

/** The options of the target. */
export interface TargetOptions {
  readonly url: Asked<string | URL>;
  readonly headers?: Asked<HeadersInit | undefined>;
  readonly protocols?: string | string[] | undefined;
  readonly client?: Deno.HttpClient | undefined;
}

/** A value, or a function that is called for it at each dial. */
type Asked<V> = V | ((context: ConnectorContext) => V | PromiseLike<V>);

/** The target of a connection without its secret parts. */
export function placeOf({ protocol, host, pathname }: URL): string {
  return oneLine(`${protocol}//${host}${pathname}`);
}

/** The target of each dial, from checked options. Later changes to them by the caller have no effect. */
export class Targets {
  /** The target of the latest dial, as far as is known. */
  place = "a WebSocket server";
  readonly #url: (context: ConnectorContext) => URL | Promise<URL>;
  readonly #headers: (context: ConnectorContext) => Headers | undefined | Promise<Headers>;
  readonly #fixed: WebSocketOptions;

  constructor(options: TargetOptions) {
    const { url, headers, protocols, client } = options;
    if (typeof url === "function") {
      this.#url = async (context) =>
        checkedUrl(
          await untilAborted(() => url.call(options, context), context.signal),
          `connect to ${this.place}`,
        );
    } else {
      const fixed = checkedUrl(url, SUBJECT);
      this.place = placeOf(fixed);
      this.#url = () => fixed;
    }
    if (typeof headers === "function") {
      this.#headers = async (context) =>
        checkedHeaders(
          await untilAborted(() => headers.call(options, context), context.signal),
          `connect to ${this.place}`,
        );
    } else {
      const fixed = headers && checkedHeaders(headers, SUBJECT);
      this.#headers = () => fixed;
    }
    this.#fixed = {
      ...(protocols && { protocols: [protocols].flat() }),
      ...(client && { client }),
    };
  }

  async next(context: ConnectorContext): Promise<Target> {
    const url = await this.#url(context);
    this.place = placeOf(url);
    const headers = await this.#headers(context);
    return { url, init: { ...this.#fixed, ...(headers && { headers }) } };
  }
}

/** Calls a function of the options. An abort ends the wait even if the function ignores the signal. */
export async function untilAborted<R>(
  call: () => R | PromiseLike<R>,
  signal: AbortSignal,
): Promise<Awaited<R>> {
  signal.throwIfAborted();
  let onAbort = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason);
  });
  signal.addEventListener("abort", onAbort);
  try {
    return await Promise.race([call(), aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
