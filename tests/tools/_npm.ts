// Pinned, with its integrity, in `tests/npm.lock`.
export { default as ts } from "npm:typescript@5.9.2";
