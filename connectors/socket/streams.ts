import type { Chunk, ChunkRequest } from "./reader.ts";

/** The source of a stream's bytes: resolves to false at the end. */
export interface ChunkSource {
  readChunk(request: ChunkRequest, deliver: (chunk: Chunk) => void): Promise<boolean>;
}

/** A new request for bytes. */
export function chunkRequest(): ChunkRequest {
  return { isCancelled: false, wake: () => {} };
}

/** Cancels a stream's request: bytes stay for the next read. */
export function cancelRequest(request: ChunkRequest): void {
  request.isCancelled = true;
  request.wake();
}

/** Where a stream's bytes go. */
export interface ByteSink {
  writeAll(bytes: Uint8Array): Promise<void>;
}

/**
 * The received bytes of a socket as a stream. Ending or cancelling it leaves the socket
 * open, and later bytes to the next read. `source` is called at every read, and may throw.
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

/** Writes go to the socket; closing or aborting the stream leaves the socket open. */
export function writableOf(sink: () => ByteSink): WritableStream<Uint8Array<ArrayBufferLike>> {
  return new WritableStream({
    async write(chunk) {
      await sink().writeAll(chunk);
    },
  });
}
