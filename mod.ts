/**
 * A connection pool: it keeps sockets, and anything else that is costly to open,
 * and lends each to one borrower at a time.
 *
 * @module
 */

export * from "./connectors/mod.ts";
export * from "./pool/mod.ts";
export * from "./tasks/mod.ts";
