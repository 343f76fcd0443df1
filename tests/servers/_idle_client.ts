/** A program that uses a pool of a driver's clients once and never closes it: `DRIVER PORT`. */

import { Pool } from "@x/sockpool";
import { mysqlOf, pgOf, redisOf, type Rivals } from "./_npm.ts";

const [name, port] = Deno.args;
const drivers = { pg: pgOf, mysql2: mysqlOf, redis: redisOf };
const driver = await drivers[name as keyof typeof drivers](Number(port));
const { connector, echo } = driver as unknown as Rivals<object>;
const pool = new Pool(connector);
await pool.use(({ value }) => echo(value, "tag"));
while (pool.stats.idle === 0) await new Promise((resolve) => setTimeout(resolve, 2)); // its reset comes first
console.log(`${pool.stats.idle} idle`);
