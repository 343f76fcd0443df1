/**
 * One limit over many processes: a semaphore whose permits are leases on a
 * Redis, a Deno KV, or another engine.
 *
 * @module
 */

export type { ClusterClock } from "./_clock.ts";
export {
  denoKvEngine,
  type DenoKvEngineOptions,
  type KvEntry,
  type KvStore,
  type KvTransaction,
} from "./deno_kv_engine.ts";
export type {
  ClusterStatus,
  Engine,
  ExchangeReply,
  ExchangeRequest,
  Grant,
  QueueEntry,
} from "./engine.ts";
export {
  ClusterClosedError,
  ClusterEngineError,
  ClusterError,
  ClusterPermitLostError,
  ClusterTimeoutError,
} from "./errors.ts";
export { limited, permitOf } from "./limited.ts";
export { memoryEngine, type MemoryEngineOptions } from "./memory_engine.ts";
export type { ClusterPermit } from "./permit.ts";
export {
  type RedisCommands,
  type RedisConn,
  redisEngine,
  type RedisEngineOptions,
  type RedisSend,
  type RedisSocketPool,
} from "./redis_engine.ts";
export {
  type ClusterAcquireOptions,
  ClusterSemaphore,
  type ClusterSemaphoreOptions,
  type ClusterStats,
} from "./semaphore.ts";
