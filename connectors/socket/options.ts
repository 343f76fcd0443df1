import {
  duration,
  nonEmptyString,
  oneOf,
  port,
  positiveDuration,
  type Rule,
  typed,
} from "../../internal/validate.ts";
import type { ConnectorContext } from "../../pool/connector.ts";
import { proxyUrl } from "./proxy.ts";

/** The options with the values that they have at one dial. */
export type Resolved<O> = { [K in keyof O]: Value<O[K]> };

type Value<V> = V extends (context: ConnectorContext) => infer R ? Awaited<R> : V;

type Rules = Readonly<Record<string, Rule>>;

/** Rules of the options that all connectors of sockets have. */
export const SOCKET_RULES = {
  ioTimeout: positiveDuration,
  init: typed("function"),
  accept: typed("function"),
  isRetryable: typed("function"),
  isFatal: typed("function"),
  farewell: typed("function"),
};

/** Rules of options that may be functions: checked when the connector is created, or at each dial. */
export const TCP_SOURCE_RULES = {
  port,
  hostname: nonEmptyString,
  proxy: proxyUrl,
};

/** Rules of the other options of TCP. */
export const TCP_RULES = {
  transport: oneOf("tcp"),
  noDelay: typed("boolean"),
  keepAlive: typed("boolean"),
  autoSelectFamily: typed("boolean"),
  autoSelectFamilyAttemptDelay: duration,
};

/** The same rules, which let a function pass. */
export function orFunctions<K extends string>(rules: Record<K, Rule>): Record<K, Rule> {
  const lenient = (rule: Rule): Rule => (value, name, subject) => {
    if (typeof value !== "function") rule(value, name, subject);
  };
  const entries = Object.entries<Rule>(rules).map(([name, rule]) => [name, lenient(rule)]);
  return Object.fromEntries(entries);
}

/** Calls the options that are functions, and checks their results. */
export async function resolveSources<O extends object>(
  options: O,
  rules: Rules,
  subject: string,
  context: ConnectorContext,
): Promise<Resolved<O>> {
  const resolved = { ...options } as Record<string, unknown>;
  for (const [name, rule] of Object.entries(rules)) {
    const source = resolved[name];
    if (typeof source !== "function") continue;
    const value: unknown = await source.call(options, { signal: context.signal });
    rule(value, `${name}()`, subject);
    resolved[name] = value;
  }
  context.signal.throwIfAborted();
  return resolved as Resolved<O>;
}
