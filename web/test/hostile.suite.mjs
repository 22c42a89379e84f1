// Whatever a catalogue, an address or a server says, the page shows it as letters.

import assert from "node:assert/strict";
import { after as atEnd, before, test } from "node:test";
import { after, healthy, open, settled } from "./browser.mjs";
import { payloads } from "./payloads.mjs";

const NAME = `hostile-${process.pid}`;
const FIELD = "<img src=x onerror=alert(1)>"; // a field's name

export default function (ctx) {
  const docs = payloads.map((p, i) => ({
    id: p, title: `lantern ${p}`, description: `A lantern ${p} for the garden`, brand: p, category: payloads[(i + 1) % payloads.length],
    currency: p, price: i + 1, rating: 4, link: p, nested: { [p]: [p, { [p]: p }] }, [FIELD]: p,
  }));

  before(async () => {
    assert.ok(payloads.length >= 60, `${payloads.length} payloads`);
    await ctx.server.api("PUT", `/collections/${NAME}`, {
      id_field: "id", text: [{ field: "title", weight: 3 }, { field: "description" }],
      attributes: { brand: "keyword", category: "keyword", price: "number", [FIELD]: "keyword" }, embed_template: "{{title}}", reranker: "none",
    });
    const report = await ctx.server.api("POST", `/collections/${NAME}/documents/import`, docs.map((d) => JSON.stringify(d)).join("\n"), "application/x-ndjson");
    assert.equal(report.indexed, docs.length, JSON.stringify(report.errors));
  });
  atEnd(() => ctx.server.api("DELETE", `/collections/${NAME}`));

  /** cards reads what the page shows of each hit, as text. */
  const cards = (page) => page.$$eval(".hit", (all) => all.map((el) => ({
    id: el.dataset.id, title: el.querySelector("h2").textContent, body: el.querySelector(".body")?.textContent, brand: el.querySelector(".meta-brand")?.textContent, shownId: el.querySelector(".id").textContent,
  })));

  /** press clicks every element of a kind at once. */
  const press = (page, selector) => page.$$eval(selector, (all) => all.forEach((el) => el.click()));

  async function provoke(page) {
    await page.evaluate(() => {
      for (const el of document.querySelectorAll(".hit, .hit *, .tick, .chip")) {
        for (const type of ["mouseover", "mouseenter", "pointermove", "focus", "animationstart", "toggle"]) el.dispatchEvent(new Event(type, { bubbles: true }));
      }
    });
  }

  for (const [what, query] of [["listed", "sort=price:asc"], ["found and marked", "q=lantern&mode=keyword&sort=price:asc"]]) {
    test(`every hostile text is shown letter by letter when it is ${what}`, async () => {
      const seen = new Map();
      const page = await open(ctx.browser, `${ctx.url}/?c=${NAME}&${query}`);
      for (let n = 1; ; n++) {
        await settled(page);
        for (const c of await cards(page)) seen.set(c.id, c);
        await press(page, '[data-act="why"]');
        await page.waitForFunction(() => !document.querySelector(".why-wait"));
        await press(page, '[data-act="details"]');
        if (query.includes("q=")) assert.ok((await page.$$(".hit mark")).length > 0);
        await provoke(page);
        const next = await page.$('[aria-label="Next page"]:not(:disabled)');
        if (!next) break;
        await after(page, () => press(page, '[aria-label="Next page"]'));
      }
      assert.equal(seen.size, docs.length);
      const line = (s) => s.trim();
      for (const d of docs) {
        const c = seen.get(d.id);
        assert.equal(line(c.title), line(d.title));
        assert.equal(c.brand, d.brand);
        assert.equal(c.shownId, d.id);
        if (c.body !== undefined) assert.equal(line(c.body), line(d.description));
      }
      await healthy(page);
    });
  }

  test("details show hostile fields, and only web addresses become links", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=${NAME}&sort=price:asc`);
    await settled(page);
    await press(page, '[data-act="details"]');
    const hrefs = await page.$$eval(".panel a", (all) => all.map((a) => a.protocol));
    assert.ok(hrefs.every((p) => p === "https:" || p === "http:"), hrefs.join());
    assert.ok((await page.$$eval(".panel dt", (all) => all.map((el) => el.textContent))).includes(FIELD), "the field's name as text");
    await healthy(page);
  });

  test("hostile values as facets, filters and chips stay text and filter exactly", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=${NAME}&mode=keyword`);
    await settled(page);
    await press(page, '[data-key^="m "][data-key$="brand"]');
    const values = await page.$$eval('input[data-field="brand"]', (all) => all.map((el) => [el.value, el.closest(".tick").querySelector(".tick-name").textContent]));
    assert.ok(values.length >= 50);
    for (const [value, shown] of values) assert.equal(shown, value);
    await provoke(page);
    for (const p of payloads.filter((_, i) => i % 6 === 0)) {
      await go(page, `?c=${NAME}&mode=keyword&f.brand=${encodeURIComponent(p)}&${encodeURIComponent("f." + FIELD)}=${encodeURIComponent(p)}`);
      await page.waitForFunction((want) => { const all = document.querySelectorAll(".hit"); return all.length === 1 && all[0].dataset.id === want; }, p);
      assert.ok((await page.textContent("#chips")).includes(p));
    }
    await healthy(page);
  });

  /** go changes the address as the back button does, without loading the page again. */
  async function go(page, query) {
    await page.evaluate((q) => {
      history.pushState(null, "", q);
      dispatchEvent(new PopStateEvent("popstate"));
    }, query);
    await settled(page);
  }

  test("hostile addresses and queries are text, in errors too", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=${NAME}&mode=keyword`);
    await settled(page);
    for (const p of payloads) {
      const v = encodeURIComponent(p);
      await go(page, `?c=${NAME}&q=${v}&where=${v}&mode=keyword`);
      assert.equal(await page.inputValue("#q"), p);
    }
    for (const p of payloads.filter((_, i) => i % 9 === 0)) {
      const v = encodeURIComponent(p);
      await go(page, `?c=${NAME}&like=${v}`);
      await page.waitForFunction((want) => document.querySelector("#hero").textContent.includes(want), p);
      await go(page, `?c=${v}&q=${v}&sort=${v}&like=${v}&f.${v}=${v}&min.price=${v}`);
    }
    await page.goto(`${ctx.url}/?c=${encodeURIComponent(payloads[4])}&q=${encodeURIComponent(payloads[5])}&where=${encodeURIComponent(payloads[9])}`);
    await settled(page);
    await healthy(page);
  });

  test("a server that escapes nothing still cannot make the page run anything", async () => {
    const page = await open(ctx.browser, null);
    const hit = (p, i) => ({
      id: `${i}${p}`, document: { title: p, description: p, brand: p, price: 1 }, score: 1, scores: { bm25: 1, vector: 1, ranks: { bm25: 1 } }, highlight: { title: `<mark>${p}</mark>${p}`, description: `${p}<mark>${p}` },
      explain: { summary: p, fusion: p, fields: [{ field: p, score: 1 }], terms: [p], bm25: { [p]: p } },
      passage: { number: 2, of: 3, start: 0, end: 1, text: p },
    });
    const all = (f) => payloads.map(f);
    await page.route("**/search", (r) => r.fulfill({ json: {
      hits: all(hit), total: payloads.length, total_is: payloads[4], took_ms: 1, timings: { bm25_ms: payloads[4] }, degraded: payloads, warnings: payloads, plan: Object.fromEntries(all((p) => [p, p])),
      facets: { brand: { values: all((value) => ({ value, count: 1 })) }, price: { min: payloads[4], ranges: all((p) => ({ from: p, to: p, count: p })).concat([{ from: payloads[4], count: 1 }]) } },
      rerank: { status: payloads[4], reason: payloads[10] }, models: { embedder: { name: payloads[4], version: payloads[5], fingerprint: payloads[45] } },
    } }));
    await page.goto(`${ctx.url}/?c=${NAME}&q=x&mode=reranked`);
    await settled(page);
    await press(page, '[data-act="why"]');
    await page.waitForFunction((n) => document.querySelectorAll(".why-summary").length === n, payloads.length);
    assert.deepEqual(await page.$$eval(".why-summary", (els) => els.map((el) => el.textContent)), payloads);
    assert.deepEqual(await page.$$eval(".why-passage", (els) => els.map((el) => el.textContent)), payloads);
    assert.deepEqual(await page.$$eval(".banner:not(.bad) p", (els) => els.map((el) => el.textContent)), payloads);
    assert.deepEqual(await page.$$eval(".hit h2", (els) => els.map((el) => el.textContent)), all((p) => p.trim()));
    await provoke(page);
    await page.unroute("**/search");
    let answer = {};
    await page.route("**/search", (r) => r.fulfill({ status: 400, body: JSON.stringify(answer) }));
    answer = { title: payloads[0], detail: payloads[4], code: payloads[5], request_id: payloads[9], errors: all((p) => ({ pointer: p, detail: p })).concat([{ pointer: "/filter", detail: payloads[4] }]) };
    await go(page, `?c=${NAME}&q=y`);
    await page.waitForSelector(".reasons");
    assert.deepEqual(await page.$$eval(".reasons dd", (els) => els.map((el) => el.textContent)), [...payloads, payloads[4]]);
    for (const p of payloads) {
      answer = { title: p, code: p };
      await go(page, `?c=${NAME}&q=${encodeURIComponent("z" + p)}`);
      await page.waitForFunction((want) => document.querySelector(".notice p").textContent === want, p);
    }
    await healthy(page);
  });

  test("hostile rows and reports of an import are text", async () => {
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    const errors = payloads.map((p, i) => ({ line: i + 1, id: p, code: "invalid", detail: p }));
    await page.route("**/import?*", (r) => r.fulfill({ status: 202, json: { task: { id: "t1" } } }));
    await page.route("**/tasks/t1", (r) => r.fulfill({ json: { id: "t1", status: "succeeded", result: { total: 99, indexed: 0, failed: errors.length, errors, texts: { documents: 1, cut: 1, limit: 256, longest: 300, histogram: [{ from: 1, to: 256, documents: 1 }] }, settings: { id_field: payloads[0], text: payloads.map((field) => ({ field })), attributes: Object.fromEntries(payloads.map((f) => [f, f])), embed_template: payloads[4] } } } }));
    await page.click("#import-open");
    await page.setInputFiles("#import-file", { name: '<img src=x onerror="window.__xss=1">.csv', mimeType: "text/csv", buffer: Buffer.from("id\n1\n") });
    await page.waitForSelector("#dry-report");
    assert.deepEqual(await page.$$eval("#dry-report .failed tbody tr", (all) => all.map((tr) => tr.children[2].textContent)), payloads);
    await page.click("#import-start");
    await page.waitForSelector("#import-done");
    const shown = await page.$$eval(".failed tbody tr", (all) => all.map((tr) => tr.children[2].textContent));
    assert.deepEqual(shown, payloads);
    await healthy(page);
  });

  test("the page's policy allows no inline script, no foreign code and no frame", async () => {
    const res = await fetch(ctx.url + "/");
    const csp = res.headers.get("content-security-policy");
    for (const part of ["default-src 'self'", "script-src 'self'", "style-src 'self'", "object-src 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]) assert.ok(csp.includes(part), part);
    assert.doesNotMatch(csp, /unsafe|\*|https?:/);
    assert.equal(res.headers.get("x-content-type-options"), "nosniff");
    assert.equal(res.headers.get("x-frame-options"), "DENY");
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    const ran = await page.evaluate(() => {
      const s = document.createElement("div");
      try { s.innerHTML = "<img src=x onerror=window.__xss=1>"; return "HTML was parsed"; } catch { return "refused"; }
    });
    assert.equal(ran, "refused"); // the guard that the tests above rely on is really on
    await page.close();
  });
}
