/**
 * The events of pools on channels of `node:diagnostics_channel`, for tools.
 *
 * @module
 */

import type { PoolHooks } from "../pool/mod.ts";
import type { TaskEvents } from "./observable.ts";

interface Channel {
  readonly hasSubscribers: boolean;
  publish(message: unknown): void;
}

interface DiagnosticsChannel {
  channel(name: string): Channel;
}

/** Node and Deno provide built-in modules without an import; other runtimes have no channels. */
function diagnosticsChannel(): DiagnosticsChannel | undefined {
  const { process } = globalThis as unknown as {
    process?: { getBuiltinModule?(name: string): DiagnosticsChannel | undefined };
  };
  return process?.getBuiltinModule?.("node:diagnostics_channel");
}

/** Hooks that publish the events of a pool: `sockpool:acquire` and so on. */
export function channelHooks(pool: string, key?: string): PoolHooks | undefined {
  const publisher = publisherFor(key === undefined ? { pool } : { pool, key });
  return publisher && {
    onConnect: publisher("sockpool:connect"),
    onAcquire: publisher("sockpool:acquire"),
    onRelease: publisher("sockpool:release"),
    onRetire: publisher("sockpool:retire"),
    onReject: publisher("sockpool:reject"),
    onLeak: publisher("sockpool:leak"),
    onError: publisher("sockpool:error"),
  };
}

/** Hooks that publish the events of a task pool: `sockpool:task:start` and so on. */
export function taskChannelHooks(pool: string): TaskEvents | undefined {
  const publisher = publisherFor({ pool });
  return publisher && {
    onStart: publisher("sockpool:task:start"),
    onEnd: publisher("sockpool:task:end"),
    onStandstill: publisher("sockpool:task:standstill"),
  };
}

function publisherFor(subject: object): ((name: string) => (event: object) => void) | undefined {
  const module = diagnosticsChannel();
  return module && ((name) => {
    const channel = module.channel(name);
    return (event) => {
      if (channel.hasSubscribers) channel.publish({ ...subject, ...event });
    };
  });
}
