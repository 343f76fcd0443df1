/**
 * Takes the pictures in `docs/monitor/`: a pool under load, with a stalled server,
 * and after a restart of it.
 *
 *     deno run -A tests/monitor/_screenshots.ts
 *
 * @module
 */

import { KeyedPool, Pool, TaskPool, tcp } from "../../mod.ts";
import { monitor } from "../../monitor/mod.ts";
import { EchoProcess } from "../support/child.ts";
import { pathOf } from "../support/needs.ts";
import { chromium } from "./_npm.ts";

const target = new URL("../../docs/monitor/", import.meta.url);
const sleep = (time: number) => new Promise<void>((resolve) => setTimeout(resolve, time));

await using server = await EchoProcess.start();
const connector = tcp({ hostname: "127.0.0.1", port: server.port, ioTimeout: 60_000 });
await using cache = new Pool(connector, { maxSize: 8, track: true, acquireTimeout: 60_000 });
await using tenants = new KeyedPool((_key: string) => connector, { maxSize: 12, maxPerKey: 4 });
await using thumbnails = new TaskPool(6);
let isOver = false;

function lookUp(): Promise<void> {
  return cache.use(async (conn) => {
    await conn.writeAll(new TextEncoder().encode("get\n"));
    await conn.readUntil("\n");
    await sleep(5 + 60 * Math.random() ** 3);
  });
}

async function client(number: number): Promise<void> {
  while (!isOver) {
    await lookUp().catch(() => sleep(200));
    if (number % 4 === 0) {
      const tenant = `tenant-${Math.floor(6 * Math.random() ** 2)}`;
      await tenants.use(tenant, () => sleep(30 * Math.random())).catch(() => {});
    }
    if (number % 5 === 0) {
      thumbnails.submit(() => sleep(200 * Math.random())).result.catch(() => {});
    }
    await sleep(40 * Math.random());
  }
}

const clients = Array.from({ length: 14 }, (_, number) => client(number));
const handler = monitor({ cache, tenants, thumbnails }, { title: "checkout", interval: 500 });
const web = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, handler);
const browser = await chromium.launch({
  executablePath: pathOf("chromium"),
  args: ["--no-sandbox"],
});

async function open(colorScheme: "light" | "dark", width = 1000) {
  const context = await browser.newContext({ colorScheme, viewport: { width, height: 700 } });
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${web.addr.port}/`);
  return page;
}

const path = (name: string) => new URL(name, target).pathname;
const [light, dark, phone] = [await open("light"), await open("dark"), await open("light", 390)];
await sleep(25_000);
await light.screenshot({ path: path("load.png") });
await dark.screenshot({ path: path("dark.png") });
await phone.screenshot({ path: path("phone.png") });
await server.tell("pause");
await sleep(6_000);
await light.screenshot({ path: path("stalled.png") });
await server.kill();
await sleep(4_000);
await server.start();
await sleep(5_000);
await light.screenshot({ path: path("restart.png") });

isOver = true;
await browser.close();
await Promise.all(clients);
await web.shutdown();
handler[Symbol.dispose]();
