// The npm packages for the plots. They are named here, not in `deno.json`, since every
// `deno task` fetches the packages named there.
export * as Plot from "npm:@observablehq/plot@0.6.17";
export { parseHTML } from "npm:linkedom@0.18.10";
