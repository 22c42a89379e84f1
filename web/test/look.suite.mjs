import assert from "node:assert/strict";
import { test } from "node:test";
import { healthy, open, settled } from "./browser.mjs";

const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const LONG = "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz".repeat(4);

/** contrasts gives the texts of the page whose colour is too near to what is behind them (WCAG 2 AA). */
export function contrasts() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const ctx = canvas.getContext("2d", { willReadFrequently: true });
  const rgba = (css) => {
    ctx.clearRect(0, 0, 1, 1);
    ctx.fillStyle = css;
    ctx.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = ctx.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1];
  const lum = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (el) => {
    const stack = [];
    for (let e = el; e; e = e.parentElement) stack.push(rgba(getComputedStyle(e).backgroundColor));
    return stack.reverse().reduce((base, c) => over(c, base), rgba(getComputedStyle(document.body).backgroundColor));
  };
  const bad = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; (n = walk.nextNode());) {
    const el = n.parentElement;
    const style = getComputedStyle(el);
    if (!n.textContent.trim() || !el.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || el.closest(".vh, .stars, :disabled, script, noscript")) continue;
    const back = behind(el), fore = over(rgba(style.color), back);
    const [hi, lo] = [lum(fore), lum(back)].sort((a, b) => b - a);
    const ratio = (hi + 0.05) / (lo + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 600);
    if (ratio < (large ? 3 : 4.5)) bad.push(`${ratio.toFixed(2)} "${n.textContent.trim().slice(0, 40)}" (${el.className || el.tagName})`);
  }
  return bad;
}

export default function (ctx) {
  for (const colorScheme of ["light", "dark"]) {
    test(`text stands out enough in the ${colorScheme} theme`, async () => {
      const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=steel+flask&max.price=60`, { colorScheme });
      await settled(page);
      await page.click('.hit [data-act="why"]');
      await page.waitForSelector(".why-summary");
      assert.deepEqual(await page.evaluate(contrasts), []);
      await page.click("#home");
      await page.waitForSelector(".example");
      assert.deepEqual(await page.evaluate(contrasts), []);
      await page.click("#import-open");
      assert.deepEqual(await page.evaluate(contrasts), []);
      await healthy(page);
    });
  }

  test("the theme follows the system until it is chosen, and then stays chosen", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo`, { colorScheme: "dark", alone: "theme" });
    await settled(page);
    const light = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) > 380);
    assert.equal(await light(), false);
    await page.emulateMedia({ colorScheme: "light" });
    assert.equal(await light(), true);
    await page.click("#theme");
    assert.equal(await light(), false);
    await page.reload();
    assert.equal(await light(), false);
    assert.equal(await page.getAttribute("#theme", "aria-label"), "Switch to light colours");
    await healthy(page);
  });

  test("nothing is wider than a phone of 360 pixels", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo`, PHONE);
    const fits = async (what) => {
      const { wide, out } = await page.evaluate(() => ({
        wide: document.documentElement.scrollWidth,
        out: [...document.querySelectorAll("body *")].filter((el) => el.checkVisibility() && !el.closest(".vh, .skip, pre, .scroll, .busy") && el.getBoundingClientRect().right > 361).map((el) => `${el.tagName}.${el.className}`).slice(0, 5),
      }));
      assert.ok(wide <= 360, `${what} is ${wide} pixels wide`);
      assert.deepEqual(out, [], what);
    };
    await settled(page);
    await fits("the first page");
    await page.goto(`${ctx.url}/?c=demo&q=something+to+keep+my+coffee+hot+on+the+train&max.price=90&f.in_stock=true`);
    await settled(page);
    await fits("the hits");
    await page.click('.hit [data-act="why"]');
    await page.waitForSelector(".why-summary");
    await fits("why");
    await page.click('.hit [data-act="details"]');
    await fits("details");
    assert.equal(await page.isVisible("#side"), false);
    await page.click("#drawer-open");
    await page.waitForSelector("#drawer .tick");
    await fits("the filters");
    await page.keyboard.press("Escape");
    await page.click("#import-open");
    await fits("the import");
    await page.click('#importer [aria-label="Close"]');
    await page.goto(`${ctx.url}/?c=demo&q=${LONG}&mode=keyword&where=${LONG}%20=%201`);
    await settled(page);
    await fits("an error with long words");
    await healthy(page);
  });

  test("the filters of a phone filter", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=lamp&mode=keyword`, PHONE);
    await settled(page);
    await page.click("#drawer-open");
    const box = page.locator('#drawer input[data-field="category"]').first();
    const value = await box.inputValue();
    const answer = page.waitForResponse((r) => r.url().endsWith("/search"));
    await box.check();
    await answer;
    await page.click('#drawer button:has-text("Show")');
    await page.waitForFunction((v) => [...document.querySelectorAll(".hit .meta")].every((el) => el.textContent.includes(v)), value);
    assert.equal(await page.textContent("#drawer-count"), "1");
    await healthy(page);
  });

  test("a very long title stays inside its card", async () => {
    const name = `long-${process.pid}`;
    await ctx.server.api("POST", `/collections/${name}/documents/import`, [{ id: "x".repeat(300), title: LONG, description: LONG, brand: LONG, price: 123456789.5 }, { id: "y", title: "Chair", description: "Oak", brand: "B", price: 1 }].map((d) => JSON.stringify(d)).join("\n"), "application/x-ndjson");
    for (const options of [{}, PHONE]) {
      const page = await open(ctx.browser, `${ctx.url}/?c=${name}`, options);
      await settled(page);
      const out = await page.evaluate(() => [...document.querySelectorAll(".hit *")].filter((el) => el.checkVisibility() && el.getBoundingClientRect().right > el.closest(".hit").getBoundingClientRect().right + 1).map((el) => el.className || el.tagName));
      assert.deepEqual(out, []);
      await healthy(page);
    }
    await ctx.server.api("DELETE", `/collections/${name}`);
  });
}
