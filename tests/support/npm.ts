// The npm packages that the tests use. They are named here, not in `deno.json`:
// every `deno task` fetches whatever is named there.
import fc from "npm:fast-check@4.10.2";

export { fc };
