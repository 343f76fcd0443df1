import type { Chunk, ChunkRequest } from "./reader.ts";

/** Where a stream gets its bytes: false at the end. */
export interface ChunkSource {
  readChunk(request: ChunkRequest, deliver: (chunk: Chunk) => void): Promise<boolean>;
}

/** A new wish for bytes. */
export function chunkRequest(): ChunkRequest {
  return { isCancelled: false, wake: () => {} };
}

/** Takes back a stream's wish: what comes is for the next read. */
export function cancelRequest(request: ChunkRequest): void {
  request.isCancelled = true;
  request.wake();
}

/** Where a stream's bytes go. */
export interface ByteSink {
  writeAll(bytes: Uint8Array): Promise<void>;
}

/**
 * What a socket receives, as a stream of its own: ending or cancelling it leaves
 * the socket open, and bytes that come after that to the next read.
 * `source` is asked for at every read, and may throw.
 */
export function readableOf(
  source: () => ChunkSource,
  request: ChunkRequest = chunkRequest(),
): ReadableStream<Chunk> {
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      const hasMore = await source().readChunk(request, (chunk) => controller.enqueue(chunk));
      if (request.isCancelled) return void source(); // throws if its lease has ended
      if (hasMore) return;
      controller.close();
      controller.byobRequest?.respond(0);
    },
    cancel() {
      cancelRequest(request);
    },
  });
}

/** What is written to it goes to the socket; closing or aborting it leaves the socket open. */
export function writableOf(sink: () => ByteSink): WritableStream<Uint8Array<ArrayBufferLike>> {
  return new WritableStream({
    async write(chunk) {
      await sink().writeAll(chunk);
    },
  });
}
