// The npm package that drives a browser in these tests. It does not install one.
export { type Browser, chromium, type Page } from "npm:playwright-core@1.65.1";
