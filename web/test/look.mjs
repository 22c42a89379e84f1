// Pictures of the page, for a person to look at: npm run look. They go to shots/, which git ignores.
// ROBIN_URL names a running server with the demo; without it ROBIN_BIN starts one. An argument picks pictures by name.

import { mkdir } from "node:fs/promises";
import { launch, open, settled } from "./browser.mjs";
import { attach, start } from "./server.mjs";

const OUT = new URL("shots/", import.meta.url).pathname;
const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const COFFEE = "/?c=demo&q=something+to+keep+my+coffee+hot+on+the+train";
const ROWS = "sku,title,description,brand,price\n" + Array.from({ length: 30 }, (_, i) => (i % 11 === 5 ? `S${i},too,short` : `S${i},Garden trowel ${i},Forged steel with an ash handle,Spade & Sons,${i + 0.5}`)).join("\n");

const why = async (page) => { await page.click('[data-act="why"]'); await page.waitForSelector(".why-summary"); };
const file = async (page) => {
  await page.click("#import-open");
  await page.setInputFiles("#import-file", { name: "Garden Tools (2024).csv", mimeType: "text/csv", buffer: Buffer.from(ROWS) });
  await page.waitForSelector("#import-start");
};
const report = async (page) => { await file(page); await page.click("#import-start"); await page.waitForSelector("#import-done"); };
const refuse = (status, body, headers = {}) => async (page) => {
  await page.route("**/search", (r) => (status ? r.fulfill({ status, headers, body: JSON.stringify(body) }) : r.abort()));
  await page.fill("#q", "kettle");
  await page.waitForSelector('.notice[data-kind="error"]');
};

const PICTURES = [
  ["home", "/", {}],
  ["home-phone", "/", PHONE],
  ["coffee", COFFEE, {}],
  ["coffee-dark", COFFEE, { colorScheme: "dark" }],
  ["coffee-phone", COFFEE, PHONE],
  ["coffee-tablet", COFFEE, { viewport: { width: 768, height: 960 } }],
  ["why", COFFEE, {}, why],
  ["why-dark-phone", COFFEE, { ...PHONE, colorScheme: "dark" }, why],
  ["details", "/?c=demo&q=kettle", {}, (page) => page.click('[data-act="details"]')],
  ["filters", "/?c=demo&q=steel&mode=keyword&f.category=Pots+%26+Pans&max.price=60&sort=price:asc", {}],
  ["drawer-dark-phone", COFFEE + "&max.price=40", { ...PHONE, colorScheme: "dark" }, (page) => page.click("#drawer-open")],
  ["none", "/?c=demo&q=xqzzy&mode=keyword&max.price=3", {}],
  ["bad-filter", "/?c=demo&q=lamp&where=price+%3C+AND", {}],
  ["missing", "/?c=no-such-shelf&q=lamp", {}],
  ["similar", "/?c=demo&q=kettle", {}, async (page) => { await page.click('[data-act="similar"]'); await page.waitForSelector(".like"); }],
  ["import", "/", {}, (page) => page.click("#import-open")],
  ["import-form", "/", {}, file],
  ["import-done", "/", {}, report],
  ["import-done-dark-phone", "/", { ...PHONE, colorScheme: "dark" }, report],
  ["down", "/?c=demo", {}, refuse(0)],
  ["busy", "/?c=demo", {}, refuse(429, { code: "overloaded", detail: "The search queue is full.", request_id: "y6vgdbyvdh7m7" }, { "Retry-After": "7" })],
  ["paging", "/?c=demo&page=3", {}, (page) => page.evaluate(() => scrollTo(0, 1e6))],
];

const server = process.env.ROBIN_URL ? attach(process.env.ROBIN_URL) : await start({ demo: true });
const browser = await launch();
try {
  await mkdir(OUT, { recursive: true });
  for (const [name, path, options, act] of PICTURES) {
    if (process.argv[2] && !new RegExp(process.argv[2]).test(name)) continue;
    const page = await open(browser, server.url + path, options);
    await settled(page);
    await act?.(page);
    await page.waitForTimeout(400);
    await page.screenshot({ path: `${OUT}${name}.png` });
    await page.close();
  }
} finally {
  await browser.close();
  await server.stop();
}
