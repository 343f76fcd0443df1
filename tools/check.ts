/**
 * Checks the types of everything, and the docs of all exports.
 *
 * @module
 */

import config from "../deno.json" with { type: "json" };
import { deno } from "./_deno.ts";

const types = await deno(["check", "--quiet"]);
const docs = await deno(["doc", "--lint", ...Object.values(config.exports)]);
Deno.exit(types || docs);
