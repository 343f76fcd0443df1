// The npm packages that the plots are drawn with. They are named here, not in
// `deno.json`: every `deno task` fetches whatever is named there.
export * as Plot from "npm:@observablehq/plot@0.6.17";
export { parseHTML } from "npm:linkedom@0.18.10";
