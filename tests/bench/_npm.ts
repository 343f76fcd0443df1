// The npm packages that the benchmarks compare with. They are named here, not in
// `deno.json`, since every `deno task` fetches the packages named there.
export { default as async } from "npm:async@3.2.6";
export { promise as fastq } from "npm:fastq@1.20.3";
export { createPool } from "npm:generic-pool@3.9.0";
export { Pool as LightningPool } from "npm:lightning-pool@4.14.0";
export { default as pLimit } from "npm:p-limit@7.3.3";
export { default as pMap, pMapIterable } from "npm:p-map@7.1.1";
export { default as PQueue } from "npm:p-queue@10.0.0";
export { Pool as TarnPool } from "npm:tarn@3.1.2";
