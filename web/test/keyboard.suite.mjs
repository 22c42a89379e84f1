import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, healthy, open, settled } from "./browser.mjs";

/** nameless runs in the page: it lists controls without a name, references of ARIA that lead nowhere, and ids that are there twice. */
export function nameless() {
  const out = [];
  const name = (el) => el.getAttribute("aria-label") || el.labels?.[0]?.textContent || el.textContent.trim() || el.title || el.alt;
  for (const el of document.querySelectorAll("button, input, select, a[href], summary, [role=img], [role=slider], [role=region], [role=group]")) if (!name(el)?.trim()) out.push(el.outerHTML.slice(0, 120));
  for (const attr of ["aria-controls", "aria-labelledby", "aria-describedby", "for"]) {
    for (const el of document.querySelectorAll(`[${attr}]`)) for (const id of el.getAttribute(attr).split(" ")) if (!document.getElementById(id)) out.push(`${attr}=${id}`);
  }
  const seen = new Set();
  for (const el of document.querySelectorAll("[id]")) { if (seen.has(el.id)) out.push(`id ${el.id} twice`); seen.add(el.id); }
  return out;
}

export default function (ctx) {
  const focused = (page) => page.evaluate(() => ({ id: document.activeElement.id, place: document.activeElement.dataset?.place ?? null }));

  test("a search and its hits work without a mouse", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&mode=keyword`);
    await settled(page);
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("/");
    assert.equal((await focused(page)).id, "q");
    assert.equal(await page.inputValue("#q"), "");
    await ask(page, "kettle");
    await page.keyboard.press("ArrowDown");
    assert.equal((await focused(page)).place, "1");
    await page.keyboard.press("ArrowDown");
    assert.equal((await focused(page)).place, "2");
    await page.keyboard.press("End");
    const last = Number((await focused(page)).place);
    assert.ok(last > 2);
    await page.keyboard.press("Home");
    await page.keyboard.press("Enter");
    assert.equal(await page.isVisible("#details-1"), true);
    await page.keyboard.press("w");
    assert.equal(await page.isVisible("#details-1"), false);
    assert.equal(await page.isVisible("#why-1"), true);
    await page.keyboard.press("ArrowUp");
    assert.equal((await focused(page)).id, "q");
    await page.keyboard.press("Escape");
    assert.equal(await page.inputValue("#q"), "");
    await healthy(page);
  });

  test("a slash that is typed into a field stays a slash", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&mode=keyword`);
    await settled(page);
    await page.focus("#q");
    await page.keyboard.type("a/b");
    assert.equal(await page.inputValue("#q"), "a/b");
    await healthy(page);
  });

  test("the focused hit is seen, and not hidden under the header", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=steel&mode=keyword`);
    await settled(page);
    await page.focus("#q");
    for (let i = 0; i < 9; i++) await page.keyboard.press("ArrowDown");
    for (let i = 0; i < 6; i++) await page.keyboard.press("ArrowUp");
    const { top, head, outline } = await page.evaluate(() => ({
      top: document.activeElement.getBoundingClientRect().top, head: document.querySelector(".top").getBoundingClientRect().bottom,
      outline: getComputedStyle(document.activeElement).outlineStyle,
    }));
    assert.ok(top >= head, `card at ${top}, header ends at ${head}`);
    assert.equal(outline, "solid");
    await healthy(page);
  });

  test("every control has a name, and every reference of ARIA leads somewhere", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=lamp`);
    await settled(page);
    await page.click('.hit [data-act="why"]');
    const bad = await page.evaluate(nameless);
    assert.deepEqual(bad, []);
    await healthy(page);
  });

  test("the number of hits is announced", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=lamp&mode=keyword`);
    await settled(page);
    await page.waitForFunction(() => /\d+ results?/.test(document.querySelector("#live").textContent));
    assert.equal(await page.getAttribute("#live", "aria-live"), "polite");
    await healthy(page);
  });
}
