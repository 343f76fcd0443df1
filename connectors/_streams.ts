import type { ChunkRequest } from "./_reader.ts";
import { readChunkInto, type Socket } from "./socket.ts";

/**
 * What the socket receives, as a stream of its own: ending or cancelling it
 * leaves the socket open. A cancelled stream loses no bytes that came late.
 * `socket` is asked at every read, and may throw.
 */
export function readableOf(
  socket: () => Socket<Deno.Addr>,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const request: ChunkRequest = { isCancelled: false, wake: () => {} };
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      const isEnd = !await readChunkInto(socket(), request, (chunk) => controller.enqueue(chunk));
      if (!isEnd || request.isCancelled) return;
      controller.close();
      controller.byobRequest?.respond(0);
    },
    cancel() {
      request.isCancelled = true;
      request.wake();
    },
  });
}

/** What is written to it goes to the socket; closing or aborting it leaves the socket open. */
export function writableOf(
  socket: () => Socket<Deno.Addr>,
): WritableStream<Uint8Array<ArrayBufferLike>> {
  return new WritableStream({
    async write(chunk) {
      await socket().writeAll(chunk);
    },
  });
}
