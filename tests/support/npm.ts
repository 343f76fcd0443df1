// The npm packages of the tests. They are named here, not in `deno.json`, since every
// `deno task` fetches the packages named there.
import fc from "npm:fast-check@4.10.2";

export { fc };
