import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { ask, healthy, ids, open, settled, titles, total } from "./browser.mjs";
import { start } from "./server.mjs";

const TOOLS = "sku,name,description,brand,price\n" + [
  ["T-1", "Copper watering can", "Holds nine litres and pours without a splash", "Spade & Sons", "34.50"],
  ["T-2", "Bypass secateurs", "Cuts rose stems up to two centimetres thick", "Spade & Sons", "19.90"],
  ["T-3", "Leaf rake", "Springy steel tines for the lawn in October", "Fernhill", "14.00"],
  ["T-4", "Dibber", "Makes holes of an even depth for bulbs", "Fernhill", "8.25"],
].map((r) => r.map((v) => `"${v}"`).join(",")).join("\n") + "\n";

let made = 0;
const fresh = (word) => `${word}-${process.pid}-${++made}`;

/** drop lets go of a file over the page, as a person does. */
async function drop(page, name, content, type = "text/csv") {
  const transfer = await page.evaluateHandle(({ name, content, type }) => {
    const t = new DataTransfer();
    t.items.add(new File([content], name, { type }));
    return t;
  }, { name, content, type });
  await page.dispatchEvent("body", "dragenter", { dataTransfer: transfer });
  assert.equal(await page.isVisible("#drop"), true);
  await page.dispatchEvent("body", "dragover", { dataTransfer: transfer });
  await page.dispatchEvent("body", "drop", { dataTransfer: transfer });
  assert.equal(await page.isVisible("#drop"), false);
}

async function run(page) {
  await page.click("#import-start");
  await page.waitForSelector("#import-done", { timeout: 60_000 });
}

export default function (ctx) {
  test("a CSV that is dropped on the page becomes a collection that is found by meaning", async () => {
    const name = fresh("garden-tools");
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    await drop(page, `${name}.csv`, TOOLS);
    await page.waitForSelector("#import-start");
    assert.equal(await page.inputValue("#import-name"), name);
    await page.keyboard.press("Escape");
    await page.click("#import-open");
    assert.equal(await page.evaluate(() => document.activeElement.id), "import-file");
    await page.keyboard.press("Escape");
    await drop(page, `${name}.csv`, TOOLS);
    assert.equal(await page.evaluate(() => document.activeElement.id), "import-name");
    await run(page);
    assert.equal(await page.textContent(".figures .good b"), "4");
    const guess = await page.textContent(".guess");
    assert.match(guess, /sku/);
    assert.match(guess, /name/);
    assert.match(guess, /price\s*number/);
    await page.click("#import-done");
    await settled(page);
    assert.match(page.url(), new RegExp(`c=${name}`));
    assert.equal(await total(page), 4);
    await ask(page, "give water to plants");
    assert.equal((await titles(page))[0], "Copper watering can");
    await healthy(page);
  });

  test("rows that are not taken are listed with their line and reason, and can be downloaded", async () => {
    const name = fresh("bad-rows");
    await ctx.server.api("PUT", `/collections/${name}`, { id_field: "id", text: [{ field: "title" }], embed_template: "{{title}}" });
    const lines = ['{"id":"ok-1","title":"First chair"}', '{"id":"broken', '{"title":"no id"}', '{"id":"ok-2","title":"Second chair"}', '[1,2]', '{"id":"ok-3","title":"Third chair"}'];
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    await drop(page, `${name}.jsonl`, lines.join("\n") + "\n", "application/x-ndjson");
    await page.waitForSelector("#import-start");
    await run(page);
    assert.equal(await page.textContent(".figures .good b"), "3");
    assert.equal(await page.textContent(".figures .bad b"), "3");
    const rows = await page.$$eval(".failed tbody tr", (all) => all.map((tr) => [...tr.children].map((td) => td.textContent)));
    assert.deepEqual(rows.map((r) => r[0]).sort(), ["2", "3", "5"]);
    assert.ok(rows.every((r) => r[2].length > 3), JSON.stringify(rows));
    const taken = async (button) => {
      const [file] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
      return [file.suggestedFilename(), (await readFile(await file.path(), "utf8")).trim().split("\n")];
    };
    const [reasonsName, reasons] = await taken("#reasons-download");
    assert.equal(reasonsName, `${name}.jsonl.faults.jsonl`);
    assert.deepEqual(reasons.map((l) => JSON.parse(l).line).sort(), [2, 3, 5]);
    const [rowsName, kept] = await taken("#failed-download");
    assert.equal(rowsName, `${name}.failed.jsonl`);
    assert.deepEqual(kept, [lines[1], lines[2], lines[4]]); // as they came
    await page.click("#import-done");
    await settled(page);
    assert.deepEqual((await ids(page)).sort(), ["ok-1", "ok-2", "ok-3"]);
    await healthy(page);
  });

  test("a dry run names every fault before anything is imported, and the corrected rows follow the good ones", async () => {
    const name = fresh("planted");
    const good = (i) => `P-${i},Kettle number ${i},Boils ${i} cups of water for tea,${i}.50,2024-01-${String((i % 28) + 1).padStart(2, "0")}`;
    const rows = Array.from({ length: 300 }, (_, i) => good(i));
    const planted = { 20: "P-20,Kettle,too few", 77: good(77) + ",one too many", 150: "P-150", 231: good(231) + ",two,too many" };
    for (const [i, row] of Object.entries(planted)) rows[i] = row;
    const lines = Object.keys(planted).map((i) => Number(i) + 2); // the header is line 1
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    await drop(page, `${name}.csv`, "sku,name,description,price,added\n" + rows.join("\n") + "\n");
    await page.waitForSelector("#dry-report", { timeout: 60_000 });
    assert.equal(await page.textContent(".dry .figures .good b"), "296");
    assert.equal(await page.textContent(".dry .figures .bad b"), "4");
    assert.deepEqual(await page.$$eval(".dry .failed tbody tr", (all) => all.map((tr) => Number(tr.children[0].textContent))), lines);
    const columns = await page.$$eval(".dry .guess tbody tr", (all) => Object.fromEntries(all.map((tr) => [tr.children[0].textContent, [tr.children[1].textContent, tr.children[2].textContent]])));
    assert.match(columns.sku[0], /^id/);
    assert.match(columns.name[0], /^text/);
    assert.equal(columns.name[1], "yes");
    assert.equal(columns.price[0], "number");
    const bars = await page.$$eval(".length-bars b", (all) => all.reduce((n, el) => n + Number(el.textContent), 0));
    assert.equal(bars, 296);
    assert.match(await page.textContent(".dry-cost"), /[\d,]+ a second, [\d.]+ (B|kB|MB|GB) of memory and [\d.]+ (B|kB|MB|GB) on the disk/);
    await assert.rejects(ctx.server.api("GET", `/collections/${name}`), /404/); // nothing was written
    assert.equal(await page.textContent("#import-start"), "Import 296 good rows");
    await run(page);
    assert.equal(await page.textContent(".figures .good b"), "296");
    const [file] = await Promise.all([page.waitForEvent("download"), page.click("#failed-download")]);
    const kept = (await readFile(await file.path(), "utf8")).trim().split("\n");
    assert.equal(kept[0], "sku,name,description,price,added");
    assert.deepEqual(kept.slice(1), Object.values(planted));
    await page.click("#import-done");
    await settled(page);
    const corrected = [kept[0], ...Object.keys(planted).map((i) => good(Number(i)))].join("\n") + "\n";
    await drop(page, file.suggestedFilename(), corrected);
    await page.waitForSelector("#dry-report", { timeout: 60_000 });
    assert.equal(await page.inputValue("#import-name"), name);
    assert.match(await page.textContent("#import-hint"), /exists/);
    await run(page);
    assert.equal(await page.textContent(".figures .good b"), "4");
    await page.click("#import-done");
    await settled(page);
    assert.equal((await ctx.server.api("GET", `/collections/${name}`)).documents, 300);
    await healthy(page);
    await ctx.server.api("DELETE", `/collections/${name}`);
  });

  test("values of the wrong type are mended or left out when one says so", async () => {
    const name = fresh("dirty");
    await ctx.server.api("PUT", `/collections/${name}`, { id_field: "id", text: [{ field: "title" }], attributes: { price: "number" }, embed_template: "{{title}}" });
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    await drop(page, `${name}.jsonl`, '{"id":"a","title":"Stool","price":"€ 12,50"}\n{"id":"b","title":"Bench","price":"on request"}\n', "application/x-ndjson");
    const figures = async () => [await page.textContent(".dry .figures .good b"), await page.textContent(".dry .figures div:nth-child(2) b")];
    await page.waitForSelector("#dry-report");
    assert.deepEqual(await figures(), ["0", "2"]);
    assert.match(await page.textContent("#dry-report"), /collection's own settings/);
    await page.selectOption("#import-dirty", "coerce");
    await page.waitForFunction(() => document.querySelector(".dry .figures .good b")?.textContent === "1");
    await page.selectOption("#import-dirty", "drop");
    await page.waitForFunction(() => document.querySelector(".dry .figures .good b")?.textContent === "2");
    await run(page);
    assert.equal((await ctx.server.api("GET", `/collections/${name}/documents/a`)).price, 12.5);
    assert.equal((await ctx.server.api("GET", `/collections/${name}/documents/b`)).price, undefined);
    await healthy(page);
    await ctx.server.api("DELETE", `/collections/${name}`);
  });

  test("a large file is read through only when a person asks, and a dry run that is stopped stops nothing else", async () => {
    const name = fresh("large");
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    let dry = 0;
    page.on("request", (r) => { if (r.url().includes("dry_run")) dry++; });
    await page.evaluate(() => { // too large to come over the wire of the test: the page makes it itself
      const t = new DataTransfer();
      t.items.add(new File([`id,title\n1,${"x".repeat(900)}\n`, " ".repeat(51e6)], "huge.csv", { type: "text/csv" }));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: t, bubbles: true, cancelable: true }));
    });
    await page.waitForSelector("#dry-start");
    assert.match(await page.textContent(".dry-offer"), /51 MB/);
    assert.equal(dry, 0);
    await page.click('#importer button:has-text("Other file")');
    await page.route("**/tasks/*", (r) => (r.request().method() === "GET" ? r.fulfill({ json: { status: "processing", progress: {} } }) : r.continue()));
    await page.route("**/tasks/*/events", (r) => r.abort());
    await page.setInputFiles("#import-file", { name: `${name}.csv`, mimeType: "text/csv", buffer: Buffer.from(TOOLS) });
    await page.click('.rehearsal button:has-text("Stop")');
    await page.waitForSelector(".dry-offer");
    await page.unroute("**/tasks/*");
    await page.unroute("**/tasks/*/events");
    await run(page);
    assert.equal(await page.textContent(".figures .good b"), "4");
    await healthy(page);
  });

  test("the documents that a collection's policy finds to be twins are named", async () => {
    const name = fresh("twins");
    await ctx.server.api("PUT", `/collections/${name}`, { id_field: "id", text: [{ field: "title" }], embed_template: "{{title}}", duplicates: "flag" });
    await ctx.server.api("POST", `/collections/${name}/documents/import`, '{"id":"one","title":"Blue ceramic teapot with a bamboo handle"}\n', "application/x-ndjson");
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    await drop(page, `${name}.jsonl`, '{"id":"two","title":"Blue ceramic teapot with a bamboo handle."}\n{"id":"three","title":"Garden hose of 20 metres"}\n', "application/x-ndjson");
    await page.waitForSelector("#import-start");
    await run(page);
    assert.deepEqual(await page.$$eval(".twins tbody tr", (all) => all.map((tr) => [tr.children[1].textContent, tr.children[2].textContent])), [["two", "one"]]);
    assert.match(await page.textContent(".twins tbody"), /flagged/);
    await healthy(page);
    await ctx.server.api("DELETE", `/collections/${name}`);
  });

  test("an import that cannot begin says why", async () => {
    const name = fresh("no-id");
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    await drop(page, `${name}.jsonl`, '{"title":"Chair without an id"}\n{"title":"Table without an id"}\n', "application/x-ndjson");
    await page.waitForSelector("#import-start");
    await run(page);
    assert.equal(await page.textContent("#importer-title"), "The import failed");
    assert.match(await page.textContent("#importer .banner"), /id/);
    await page.click("#import-done");
    await healthy(page);
  });

  test("a gzipped file and a JSON array go in through the file picker", async () => {
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    const docs = Array.from({ length: 25 }, (_, i) => ({ id: `g${i}`, title: `Globe lamp ${i}`, price: i + 0.5 }));
    const one = fresh("packed"), two = fresh("array");
    for (const [file, buffer] of [[`${one}.jsonl.gz`, gzipSync(docs.map((d) => JSON.stringify(d)).join("\n"))], [`${two}.json`, Buffer.from(JSON.stringify(docs))]]) {
      await page.click("#import-open");
      await page.setInputFiles("#import-file", { name: file, mimeType: "application/octet-stream", buffer });
      await page.waitForSelector("#import-start");
      await run(page);
      assert.equal(await page.textContent(".figures .good b"), "25");
      await page.click("#import-done");
      await settled(page);
      assert.equal(await total(page), 25);
    }
    await healthy(page);
  });

  test("a .json file may hold one pretty-printed object, several as jq prints them, or lines", async () => {
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    const docs = [{ id: "a", title: "Reading lamp" }, { id: "b", title: "Oak shelf" }, { id: "c", title: "Wool rug" }];
    const pretty = docs.map((d) => JSON.stringify(d, null, 2));
    const one = Buffer.from(pretty[0]), jq = Buffer.from(pretty.join("\n") + "\n"), lines = Buffer.from(docs.map((d) => JSON.stringify(d)).join("\n"));
    for (const [ending, buffer, count] of [["json", one, 1], ["json", jq, 3], ["json.gz", gzipSync(jq), 3], ["json", lines, 3]]) {
      await page.click("#import-open");
      await page.setInputFiles("#import-file", { name: `${fresh("pretty")}.${ending}`, mimeType: "application/json", buffer });
      await page.waitForSelector("#import-start");
      await run(page);
      assert.equal(await page.textContent(".figures .good b"), String(count));
      await page.click("#import-done");
      await settled(page);
      assert.deepEqual((await ids(page)).sort(), docs.slice(0, count).map((d) => d.id));
    }
    await healthy(page);
  });

  test("importing into a collection that exists replaces by id", async () => {
    const name = fresh("twice");
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    for (const title of ["Old stool", "New stool"]) {
      await drop(page, `${name}.jsonl`, `{"id":"s","title":"${title}"}\n{"id":"t","title":"Bench"}\n`, "application/x-ndjson");
      await page.waitForSelector("#import-start");
      if (title === "New stool") assert.match(await page.textContent("#import-hint"), /exists/);
      await run(page);
      await page.click("#import-done");
      await settled(page);
    }
    assert.deepEqual((await titles(page)).sort(), ["Bench", "New stool"]);
    await healthy(page);
  });

  test("a file that Robin does not read, an empty one and a bad name are refused before anything is sent", async () => {
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    let sent = 0;
    page.on("request", (r) => { if (r.url().includes("/import") && !r.url().includes("dry_run")) sent++; });
    await drop(page, "photo.png", "x", "image/png");
    await page.waitForSelector("#importer .field-error");
    assert.match(await page.textContent("#importer .field-error"), /photo\.png/);
    await page.setInputFiles("#import-file", { name: "none.csv", mimeType: "text/csv", buffer: Buffer.alloc(0) });
    await page.waitForFunction(() => /none\.csv is empty/.test(document.querySelector("#importer .field-error")?.textContent));
    await page.setInputFiles("#import-file", { name: "x.csv", mimeType: "text/csv", buffer: Buffer.from(TOOLS) });
    await page.waitForSelector("#import-name");
    await page.fill("#import-name", "Not A Name!");
    await page.click("#import-start");
    assert.equal(await page.isVisible("#import-name"), true);
    assert.match(await page.textContent("#import-hint"), /Lower-case/);
    assert.equal(sent, 0);
    await healthy(page);
  });

  test("a file that is no table is refused by the dry run, with what was found in it", async () => {
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    const before = (await ctx.server.api("GET", "/collections")).collections.length;
    const png = Buffer.from("89504e470d0a1a0a0000000d494844520000000100000001080600000000ff00fe", "hex").toString("latin1");
    for (const [file, content] of [["picture.csv", png], ["page.jsonl", "<!doctype html>\n<html><body>Log in</body></html>\n"], ["broken.json", '[{"id":"1","title":"a"},{"id"'], ["cut.parquet", "PAR1 and nothing else"]]) {
      await drop(page, file, content, "application/octet-stream");
      await page.waitForSelector(".rehearsal .banner.bad, #dry-report", { timeout: 30_000 });
      const words = await page.evaluate(() => document.querySelector(".rehearsal .banner.bad")?.textContent ?? [...document.querySelectorAll("#dry-report .failed tbody td:last-child")].map((td) => td.textContent).join());
      assert.ok(words.length > 10, `${file}: ${words}`);
      assert.equal(await page.evaluate(() => document.querySelector("#importer").scrollWidth <= document.querySelector("#importer").clientWidth), true, file);
      await page.keyboard.press("Escape");
      await page.waitForFunction(() => !document.querySelector("#importer").open);
    }
    assert.equal((await ctx.server.api("GET", "/collections")).collections.length, before, "a dry run makes no collection");
    await healthy(page);
  });

  test("an import goes on after the server was killed in the middle of it", { skip: !process.env.ROBIN_BIN && "needs ROBIN_BIN" }, async () => {
    let own = await start();
    const { data, addr } = own;
    try {
      const page = await open(ctx.browser, own.url);
      await page.waitForSelector(".notice");
      const n = 12_000;
      const docs = Array.from({ length: n }, (_, i) => JSON.stringify({ id: `d${i}`, title: `Notebook number ${i}`, text: `Ruled paper, ${i} pages of it, and a cover in colour ${i % 97}` })).join("\n");
      await drop(page, "notebooks.jsonl", docs, "application/x-ndjson");
      await page.click("#import-start");
      await page.waitForFunction(() => /^[\d,]+ of|so far/.test(document.querySelector(".progress-line")?.textContent), null, { timeout: 60_000 });
      await own.kill();
      await page.waitForFunction(() => /connection is gone/.test(document.querySelector(".progress-line")?.textContent));
      await page.waitForSelector("#import-look", { timeout: 60_000 });
      assert.match(await page.textContent("#importer"), /goes on with the rest by itself/);
      own = await start({ addr, data });
      await page.click("#import-look");
      await page.waitForSelector("#import-done", { timeout: 120_000 });
      assert.equal(await page.textContent("#importer-title"), "Imported");
      assert.equal((await own.api("GET", "/collections/notebooks")).documents, n);
      await healthy(page);
    } finally {
      await own.kill();
    }
  });

  test("a longer import shows its progress and can be stopped", async () => {
    const name = fresh("long");
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    const docs = Array.from({ length: 20_000 }, (_, i) => JSON.stringify({ id: `d${i}`, title: `Notebook number ${i}`, text: `Ruled paper, ${i} pages of it, and a cover in colour ${i % 97}` })).join("\n");
    await drop(page, `${name}.jsonl`, docs, "application/x-ndjson");
    await page.waitForSelector("#import-start");
    await page.click("#import-start");
    await page.waitForFunction(() => /\d documents|of [\d,]+ documents/.test(document.querySelector(".progress-line")?.textContent), null, { timeout: 60_000 });
    await page.keyboard.press("Escape"); // does not hide what runs
    assert.equal(await page.isVisible(".progress-line"), true);
    await page.click('#importer button:has-text("Stop")');
    await page.waitForSelector("#import-done", { timeout: 30_000 });
    assert.equal(await page.textContent("#importer-title"), "Stopped");
    await page.click("#import-done");
    await healthy(page);
    await ctx.server.api("DELETE", `/collections/${name}`);
  });
}
