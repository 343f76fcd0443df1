// @ts-self-types="./mod.d.ts"
// File by file: the package's own `async/mod.js` names a file that it lacks.
export * from "npm:deno-std@1.4.0/async/abortable.js";
export * from "npm:deno-std@1.4.0/async/deadline.js";
export * from "npm:deno-std@1.4.0/async/debounce.js";
export * from "npm:deno-std@1.4.0/async/delay.js";
export * from "npm:deno-std@1.4.0/async/mux_async_iterator.js";
export * from "npm:deno-std@1.4.0/async/pool.js";
export * from "npm:deno-std@1.4.0/async/retry.js";
export * from "npm:deno-std@1.4.0/async/tee.js";
