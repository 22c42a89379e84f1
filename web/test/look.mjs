// Pictures of the page, for a person to look at: npm run look. They go to shots/, which git ignores.
// ROBIN_URL names a running server with the demo; without it ROBIN_BIN starts one. An argument picks pictures by name.

import { mkdir, readFile } from "node:fs/promises";
import { launch, open, settled } from "./browser.mjs";
import { attach, start } from "./server.mjs";

const OUT = new URL("shots/", import.meta.url).pathname;
const PHONE = { viewport: { width: 390, height: 800 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const COFFEE = "/?c=demo&q=something+to+keep+my+coffee+hot+on+the+train";
const DUPLICATES = "/?view=duplicates&c=demo";
const ROWS = "sku,title,description,brand,price\n" + Array.from({ length: 30 }, (_, i) => (i % 11 === 5 ? `S${i},too,short` : `S${i},Garden trowel ${i},Forged steel with an ash handle${" that lies well in the hand".repeat(i % 13 === 6 ? 60 : i % 7)},Spade & Sons,${i + 0.5}`)).join("\n");

const why = async (page) => { await page.click('[data-act="why"]'); await page.waitForSelector(".why-summary"); };
const file = async (page) => {
  await page.click("#import-open");
  await page.setInputFiles("#import-file", { name: "Garden Tools (2024).csv", mimeType: "text/csv", buffer: Buffer.from(ROWS) });
  await page.waitForSelector("#import-start");
};
const report = async (page) => { await file(page); await page.click("#import-start"); await page.waitForSelector("#import-done"); };
const rehearsal = async (page) => { await file(page); await page.waitForSelector("#dry-report", { timeout: 60_000 }); };
const rehearsalEnd = async (page) => { await rehearsal(page); await page.evaluate(() => document.querySelector("#importer").scrollTo(0, 1e6)); };
const found = async (page) => {
  if (await page.$("#find")) {
    await page.uncheck("#find-cross");
    await page.click("#find");
  }
  await page.waitForSelector(".cluster", { timeout: 90_000 });
  await page.waitForFunction(() => [...document.querySelectorAll(".sample-title")].some((el) => el.textContent.includes(" ")));
};
const cluster = async (page) => {
  await found(page);
  await page.locator('.member [data-act="compare"]').first().click();
  await page.locator('.member [data-same="true"]').first().click();
  await page.waitForSelector(".compare .diff");
  await page.evaluate(() => document.querySelector(".cluster").scrollIntoView({ block: "start" }));
};
const confirm = async (page) => { await found(page); await page.click('[data-all="delete"]'); };
const finding = async (page) => {
  await page.route("**/tasks/*/events", (r) => r.abort());
  await page.route("**/tasks/*", (r) => r.fulfill({ json: { id: "9", status: "processing", progress: { done: 1840, total: 3000, per_s: 910, eta_s: 2 } } }));
  await page.route("**/collections/demo/duplicates", (r) => r.fulfill({ status: 202, json: { task: { id: "9" } } }));
  await page.click("#find");
  await page.waitForFunction(() => /of 3,000/.test(document.querySelector(".progress-line")?.textContent));
};
const learn = async (page) => {
  const read = async (name) => (await readFile(new URL(`../../testdata/catalogue/${name}.tsv`, import.meta.url), "utf8")).trim().split("\n").slice(1, 91).map((l) => l.split("\t"));
  const [same, not] = [await read("duplicates"), await read("nonduplicates")];
  await server.api("POST", "/collections/demo/duplicates/labels", { labels: [...same.map(([a, b]) => ({ a, b, same: true })), ...not.map(([a, b]) => ({ a, b, same: false }))] });
  await found(page);
  await page.fill("#learn-precision", "0.98");
  await page.click("#learn");
  await page.waitForSelector("#lesson");
  await page.evaluate(() => document.querySelector(".dup-layout").scrollIntoView({ block: "start" }));
};
const learnt = async (page) => {
  await learn(page);
  await page.click("#learn-save");
  await page.waitForSelector(".lesson-saved");
  await page.click("#dup-again");
  await page.waitForSelector("#find");
  await found(page);
};
const running = async (page) => {
  await file(page);
  await page.route("**/tasks/*/events", (r) => r.abort());
  await page.route("**/tasks/*", (r) => r.fulfill({ json: { id: "9", status: "processing", progress: { done: 18400, total: 46156, failed: 12, per_s: 412, eta_s: 67 } } }));
  await page.route("**/documents/import?*", (r) => r.fulfill({ status: 202, json: { task: { id: "9" } } }));
  await page.click("#import-start");
  await page.waitForFunction(() => /of 46,156/.test(document.querySelector(".progress-line")?.textContent));
};
const refused = async (page) => {
  await found(page);
  await page.route("**/labels", (r) => r.fulfill({ status: 403, json: { code: "forbidden", detail: "this key may only read" } }));
  await page.locator('.member [data-same="true"]').first().click();
  await page.waitForSelector(".dup-refused [role=alert]");
};
const fold = async (page) => {
  await page.check("#fold");
  await page.locator('[data-act="folded"]').first().click();
  await page.waitForTimeout(400);
};
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
  ["import-rehearsal", "/", {}, rehearsal],
  ["import-rehearsal-end", "/", {}, rehearsalEnd],
  ["import-rehearsal-dark-phone", "/", { ...PHONE, colorScheme: "dark" }, rehearsal],
  ["import-rehearsal-end-phone", "/", PHONE, rehearsalEnd],
  ["import-running", "/", {}, running],
  ["import-running-phone", "/", PHONE, running],
  ["import-done", "/", {}, report],
  ["import-done-dark-phone", "/", { ...PHONE, colorScheme: "dark" }, report],
  ["duplicates-start", DUPLICATES, {}],
  ["duplicates-busy", DUPLICATES, {}, finding],
  ["duplicates", DUPLICATES, {}, found],
  ["duplicates-dark", DUPLICATES, { colorScheme: "dark" }, found],
  ["duplicates-phone", DUPLICATES, PHONE, found],
  ["duplicates-cluster", DUPLICATES, {}, cluster],
  ["duplicates-cluster-dark-phone", DUPLICATES, { ...PHONE, colorScheme: "dark" }, cluster],
  ["duplicates-confirm", DUPLICATES, {}, confirm],
  ["duplicates-refused", DUPLICATES, {}, refused],
  ["duplicates-lesson", DUPLICATES, {}, learn],
  ["duplicates-lesson-dark-phone", DUPLICATES, { ...PHONE, colorScheme: "dark" }, learn],
  ["duplicates-learnt", DUPLICATES, {}, learnt],
  ["folded", "/?c=demo&q=double-wall+vacuum+tumbler&mode=semantic", {}, fold],
  ["folded-phone", "/?c=demo&q=double-wall+vacuum+tumbler&mode=semantic", PHONE, fold],
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
    if (path.includes("view=")) await page.waitForSelector("#find");
    else await settled(page);
    await act?.(page);
    await page.waitForTimeout(400);
    await page.screenshot({ path: `${OUT}${name}.png` });
    await page.close();
  }
} finally {
  await browser.close();
  await server.stop();
}
