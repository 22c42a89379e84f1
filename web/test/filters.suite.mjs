import assert from "node:assert/strict";
import { test } from "node:test";
import { after, healthy, ids, open, prices, settled, total } from "./browser.mjs";

const count = (text) => Number(text.replaceAll(",", ""));

export default function (ctx) {
  const rowOf = (page, field, n = 0) => page.locator(`.tick:has(input[data-field="${field}"])`).nth(n);

  test("ticking a value narrows to exactly its count", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=steel&mode=keyword`);
    await settled(page);
    const before = await total(page);
    const row = rowOf(page, "category");
    const name = await row.locator(".tick-name").textContent();
    const n = count(await row.locator(".tick-count").textContent());
    assert.ok(n > 0 && n < before, `${n} of ${before}`);
    await after(page, () => row.locator("input").check());
    assert.equal(await total(page), n);
    for (const meta of await page.$$eval(".hit .meta", (all) => all.map((el) => el.textContent))) assert.ok(meta.includes(name), meta);
    await healthy(page);
  });

  test("two values of a field are either-or, and the other counts stay", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=steel&mode=keyword`);
    await settled(page);
    const counts = () => page.$$eval('.tick:has(input[data-field="category"])', (all) => Object.fromEntries(all.map((el) => [el.querySelector("input").value, Number(el.querySelector(".tick-count").textContent.replaceAll(",", ""))])));
    const before = await counts();
    const [a, b] = Object.keys(before);
    await after(page, () => page.check(`input[data-field="category"][value="${a}"]`));
    await page.waitForFunction((v) => document.querySelectorAll('input[data-field="category"]').length > 1 && document.querySelector(`input[data-field="category"][value="${v}"]`).checked, a);
    assert.deepEqual(await counts(), before);
    await after(page, () => page.check(`input[data-field="category"][value="${b}"]`));
    assert.equal(await total(page), before[a] + before[b]);
    await healthy(page);
  });

  test("facets and total are the same on every page", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=wool&mode=hybrid`);
    await settled(page);
    const facets = () => page.$$eval(".tick", (all) => all.map((el) => el.textContent));
    const first = await facets(), n = await total(page);
    await after(page, () => page.click('[aria-label="Page 2"]'));
    assert.deepEqual(await facets(), first);
    assert.equal(await total(page), n);
    await healthy(page);
  });

  test("a typed price range holds for every hit and for the total", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=lamp&mode=keyword`);
    await settled(page);
    await page.fill('[aria-label="Price from"]', "20");
    await after(page, () => page.press('[aria-label="Price from"]', "Enter"));
    await page.fill('[aria-label="Price to"]', "40");
    await after(page, () => page.press('[aria-label="Price to"]', "Enter"));
    const got = await prices(page);
    assert.ok(got.length > 0 && got.every((p) => p >= 20 && p <= 40), got.join());
    const want = await ctx.server.api("POST", "/collections/demo/search", { q: "lamp", mode: "keyword", filter: "price >= 20 AND price <= 40", limit: 0 });
    assert.equal(await total(page), want.total);
    assert.match(await page.textContent("#chips"), /Price 20 to 40/);
    await healthy(page);
  });

  test("an automatic range narrows to its count, and a second click takes it away", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=lamp&mode=keyword`);
    await settled(page);
    const before = await total(page);
    const range = page.locator('.range[data-field="price"]').first();
    const n = count(await range.locator(".tick-count").textContent());
    await after(page, () => range.click());
    assert.equal(await total(page), n);
    const chosen = page.locator('.range[data-field="price"][aria-pressed="true"]');
    assert.equal(await chosen.count(), 1);
    await after(page, () => chosen.click());
    assert.equal(await total(page), before);
    await healthy(page);
  });

  test("something that is not a number is refused where it is typed", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=lamp&mode=keyword`);
    await settled(page);
    const url = page.url();
    await page.fill('[aria-label="Price from"]', "cheap");
    await page.press('[aria-label="Price from"]', "Tab");
    assert.equal(await page.$eval('[aria-label="Price from"]', (el) => el.validity.customError), true);
    assert.equal(page.url(), url);
    await healthy(page);
  });

  test("a chip takes its filter away", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=lamp&mode=keyword&max.price=30&f.in_stock=true`);
    await settled(page);
    assert.equal(await page.locator(".chip").count(), 2);
    await after(page, () => page.click('.chip:has-text("In stock")'));
    assert.equal(await page.locator(".chip").count(), 1);
    assert.doesNotMatch(page.url(), /in_stock/);
    await after(page, () => page.click(".chip"));
    assert.doesNotMatch(page.url(), /price/);
    await healthy(page);
  });

  test("a filter expression filters, and a wrong one says why beside the field", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=lamp&mode=keyword`);
    await settled(page);
    await page.click('summary:has-text("Filter expression")');
    await page.fill("#where", "price < 30 AND rating >= 4");
    await after(page, () => page.press("#where", "Enter"));
    const got = await prices(page);
    assert.ok(got.length > 0 && got.every((p) => p < 30));
    await page.fill("#where", "price < AND");
    const answer = page.waitForResponse((r) => r.url().endsWith("/search") && r.status() === 400);
    await page.press("#where", "Enter");
    await answer;
    await page.waitForSelector("#where-error");
    assert.equal(await page.getAttribute("#where", "aria-invalid"), "true");
    assert.equal(await page.textContent(".notice h2"), "The search was not understood");
    assert.match(await page.textContent(".reasons"), /filter/);
    await after(page, () => page.click('.ways button:has-text("Clear the filters")'));
    assert.ok((await ids(page)).length > 0);
    await healthy(page);
  });

  test("focus stays on the box that was ticked", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=steel&mode=keyword`);
    await settled(page);
    const box = rowOf(page, "brand").locator("input");
    const value = await box.inputValue();
    await box.focus();
    await after(page, () => page.keyboard.press("Space"));
    await page.waitForFunction((v) => document.activeElement?.value === v && document.activeElement.checked, value);
    await healthy(page);
  });
}
