// The npm package that these tests use: what drives a browser. It brings none.
export { type Browser, chromium, type Page } from "npm:playwright-core@1.65.1";
