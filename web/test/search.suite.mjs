import assert from "node:assert/strict";
import { test } from "node:test";
import { after, ask, healthy, ids, open, prices, settled, titles, total } from "./browser.mjs";

const COFFEE = "something to keep my coffee hot on the train";
const WARM_VESSEL = /mug|flask|tumbler|cup/i;

/** worth works out the left side of "rrf: 0.52³ × 1/(60 + 21) + 1/(60 + 5) = 0.01708". */
function worth(formula) {
  const left = formula.replace(/^[a-z ]+:/, "").split("=")[0].replaceAll("×", "*").replaceAll("³", "**3");
  assert.match(left, /^[\d\s.()+*\/-]+$/, formula);
  return Function(`return ${left}`)();
}

export default function (ctx) {
  test("the coffee query gives vessels that keep a drink warm among the first five", async () => {
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    await ask(page, COFFEE);
    const top = (await page.$$eval(".hit", (all) => all.slice(0, 5).map((el) => el.querySelector("h2").textContent + " | " + el.querySelector(".meta").textContent)));
    const good = top.filter((t) => WARM_VESSEL.test(t) && /travel|insulated|vacuum|tumbler|commuter|flask|thermo/i.test(t));
    assert.ok(good.length >= 1, top.join("\n"));
    assert.match(await page.textContent("#strip"), /ms/);
    assert.match(await page.textContent("#models"), /embedder/);
    await healthy(page);
  });

  test("an example on the empty page is one click to its answer", async () => {
    const page = await open(ctx.browser, ctx.url);
    await page.waitForSelector(".example");
    assert.equal(await page.$$eval(".example", (all) => all.length), 6);
    await after(page, () => page.click(`.example:text-is("${COFFEE}")`));
    assert.equal(await page.inputValue("#q"), COFFEE);
    assert.equal(await page.$(".hero"), null);
    await healthy(page);
  });

  test("each mode asks for its own legs, and shows their scores only", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=steel+travel+mug`);
    await settled(page);
    const shown = () => page.$$eval(".hit .score-name", (all) => [...new Set(all.map((el) => el.textContent))].sort());
    await after(page, () => page.check('#modes [value="keyword"]', { force: true }));
    assert.deepEqual(await shown(), ["BM25"]);
    const words = await ids(page);
    await after(page, () => page.check('#modes [value="semantic"]', { force: true }));
    assert.deepEqual(await shown(), ["cosine"]);
    assert.notDeepEqual(await ids(page), words);
    await after(page, () => page.check('#modes [value="hybrid"]', { force: true }));
    assert.deepEqual(await shown(), ["BM25", "cosine"]);
    await healthy(page);
  });

  test("hits are the API's hits, in its order", async () => {
    const want = await ctx.server.api("POST", "/collections/demo/search", { q: "garden lamp", mode: "hybrid", limit: 20, rerank: { mode: "off" } });
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=garden+lamp&mode=hybrid`);
    await settled(page);
    assert.deepEqual(await ids(page), want.hits.map((h) => h.id));
    assert.equal(await total(page), want.total);
    await healthy(page);
  });

  test("matched words are marked, and marking changes no letter of a title", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=kettle&mode=keyword`);
    await settled(page);
    const marks = await page.$$eval(".hit mark", (all) => all.map((el) => el.textContent));
    assert.ok(marks.length > 0 && marks.every((m) => /kettle/i.test(m)), marks.join());
    for (const id of (await ids(page)).slice(0, 5)) {
      const doc = await ctx.server.api("GET", `/collections/demo/documents/${encodeURIComponent(id)}`);
      assert.equal(await page.textContent(`.hit[data-id="${id}"] h2`), doc.title);
    }
    await healthy(page);
  });

  test("a late answer to an old query never replaces a newer one", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=&mode=keyword`);
    await settled(page);
    let held, release;
    const arrived = new Promise((r) => { held = r; });
    await page.route("**/search", async (route) => {
      if (route.request().postDataJSON().q === "tent") {
        held();
        await new Promise((r) => { release = r; });
      }
      await route.continue().catch(() => {}); // aborted by the page
    });
    await page.fill("#q", "tent");
    await arrived;
    await ask(page, "kettle");
    const now = await titles(page);
    release();
    await page.waitForTimeout(1000);
    assert.deepEqual(await titles(page), now);
    assert.match(now[0], /kettle/i);
    await healthy(page);
  });

  test("typing without a pause sends one search", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&mode=keyword`);
    await settled(page);
    let sent = 0;
    page.on("request", (r) => { if (r.url().endsWith("/search")) sent++; });
    const answer = page.waitForResponse((r) => r.url().endsWith("/search") && r.request().postDataJSON().q === "waterproof jacket");
    await page.$eval("#q", (el) => {
      for (let n = 1; n <= "waterproof jacket".length; n++) {
        el.value = "waterproof jacket".slice(0, n);
        el.dispatchEvent(new Event("input", { bubbles: true }));
      }
    });
    await answer;
    await settled(page);
    assert.equal(sent, 1);
    await healthy(page);
  });

  test("sorting by price puts prices in order over pages", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=lamp&mode=keyword`);
    await settled(page);
    await after(page, () => page.selectOption("#sort", "price:asc"));
    const low = await prices(page);
    await after(page, () => page.click('[aria-label="Next page"]'));
    const all = [...low, ...(await prices(page))];
    assert.ok(all.length > 20);
    assert.deepEqual(all, [...all].sort((a, b) => a - b));
    await after(page, () => page.selectOption("#sort", "price:desc"));
    const high = await prices(page);
    assert.deepEqual(high, [...high].sort((a, b) => b - a));
    assert.match(page.url(), /sort=price%3Adesc/);
    await healthy(page);
  });

  test("pages share no hit, and the total stays", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=steel&mode=hybrid`);
    await settled(page);
    const first = await ids(page), count = await total(page);
    await after(page, () => page.click('[aria-label="Page 2"]'));
    const second = await ids(page);
    assert.equal(await total(page), count);
    assert.equal(first.filter((id) => second.includes(id)).length, 0);
    assert.match(await page.textContent("#count"), /^21–40 of/);
    assert.equal(await page.getAttribute(".hit", "aria-posinset"), "21");
    await healthy(page);
  });

  test("why shows the numbers of the API, and they add up", async () => {
    const q = "insulated bottle for cold drinks";
    const want = await ctx.server.api("POST", "/collections/demo/search", { q, mode: "hybrid", limit: 20, rerank: { mode: "off" }, explain: true });
    const hit = want.hits.find((h) => h.scores.ranks.bm25 && h.scores.ranks.vector);
    assert.ok(hit, "a hit of both lists");
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=${encodeURIComponent(q)}&mode=hybrid`);
    await settled(page);
    const card = page.locator(`.hit[data-id="${hit.id}"]`);
    await card.locator('[data-act="why"]').click();
    await card.locator(".why-summary").waitFor();
    const rows = await card.locator(".why-table tbody tr").evaluateAll((all) => all.map((tr) => [...tr.querySelectorAll("td")].map((td) => td.textContent)));
    assert.deepEqual(rows, [
      [hit.scores.bm25.toFixed(3), `${hit.scores.ranks.bm25}.`],
      [hit.scores.vector.toFixed(3), `${hit.scores.ranks.vector}.`],
      [hit.scores.fused.toFixed(4), `${hit.scores.ranks.fused}.`],
      ["–", "–"],
    ]);
    const formula = await card.locator(".formula").textContent();
    assert.equal(formula, hit.explain.fusion);
    for (const rank of [hit.scores.ranks.bm25, hit.scores.ranks.vector]) assert.match(formula, new RegExp(`60 \\+ ${rank}\\)`));
    assert.ok(Math.abs(worth(formula) - hit.scores.fused) < 2e-4, `${formula}, but the score is ${hit.scores.fused}`);
    if (hit.explain.fields?.length) {
      const parts = await card.locator(".shares b").allTextContents();
      const sum = parts.reduce((a, t) => a + Number(t), 0);
      assert.ok(Math.abs(sum - hit.scores.bm25) < 0.01 * Math.max(1, hit.scores.bm25), `fields sum to ${sum}, BM25 is ${hit.scores.bm25}`);
    }
    await card.locator('[data-act="why"]').click();
    assert.equal(await card.locator(".why-table").isVisible(), false);
    await healthy(page);
  });

  test("reranked shows what the cross-encoder did", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=${encodeURIComponent(COFFEE)}`);
    await settled(page);
    const says = await page.textContent("#strip > .rerank");
    assert.match(says, /rerank/);
    if (!/^not/.test(says)) assert.ok((await page.$$(".score.rerank")).length > 0);
    await healthy(page);
  });

  test("more like this leads to neighbours and back", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=kettle`);
    await settled(page);
    const [id] = await ids(page);
    const title = await page.textContent(".hit h2");
    await after(page, () => page.click('.hit [data-act="similar"]'), "/similar");
    assert.ok((await page.textContent(".like")).includes(title));
    const near = await ids(page);
    assert.ok(near.length > 5 && !near.includes(id));
    await page.goBack();
    await page.waitForFunction((want) => document.querySelector(".hit")?.dataset.id === want, id);
    await healthy(page);
  });

  test("details list every field of the document", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=kettle&mode=keyword`);
    await settled(page);
    const [id] = await ids(page);
    await page.click('.hit [data-act="details"]');
    const shown = await page.$$eval(".hit .panel:not([hidden]) dd", (all) => all.map((el) => el.textContent));
    const doc = await ctx.server.api("GET", `/collections/demo/documents/${encodeURIComponent(id)}`);
    assert.deepEqual(shown, Object.values(doc).map(String));
    await healthy(page);
  });

  test("the copied curl command asks for what the page shows", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=it%27s+cold&mode=hybrid&max.price=40`);
    await settled(page);
    await page.click("#curl");
    await page.waitForSelector("#toast:not([hidden])");
    const text = await page.evaluate(() => navigator.clipboard.readText());
    const { execFileSync } = await import("node:child_process");
    const answer = JSON.parse(execFileSync("bash", ["-c", text.replace(/^curl/, "exec curl")], { encoding: "utf8" }));
    assert.deepEqual(answer.hits.map((h) => h.id), await ids(page));
    await healthy(page);
  });

  test("a link carries the whole state, and back undoes one step at a time", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&mode=keyword`);
    await settled(page);
    await ask(page, "lamp");
    await after(page, () => page.selectOption("#sort", "price:asc"));
    await after(page, () => page.click('[aria-label="Page 2"]'));
    const shown = await ids(page);
    const other = await open(ctx.browser, page.url());
    await settled(other);
    assert.deepEqual(await ids(other), shown);
    assert.equal(await other.inputValue("#q"), "lamp");
    assert.equal(await other.inputValue("#sort"), "price:asc");
    await healthy(other);
    await after(page, () => page.goBack());
    assert.doesNotMatch(page.url(), /page=/);
    await after(page, () => page.goBack());
    assert.doesNotMatch(page.url(), /sort=/);
    await after(page, () => page.goBack());
    assert.equal(await page.inputValue("#q"), "");
    await healthy(page);
  });

  test("without a hit the page offers what could be loosened", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=xqzzy&mode=keyword&max.price=5`);
    await settled(page);
    assert.equal(await page.getAttribute(".notice", "data-kind"), "none");
    assert.match(await page.textContent(".notice"), /xqzzy/);
    await after(page, () => page.click('.ways button:has-text("Search by meaning too")'));
    assert.ok((await ids(page)).length > 0);
    await healthy(page);
  });
}
