// Duplicates of the demo catalogue, from the search for them to the way back.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { healthy, open, settled } from "./browser.mjs";
import { nameless } from "./keyboard.suite.mjs";
import { contrasts } from "./look.suite.mjs";
import { payloads } from "./payloads.mjs";

const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const number = async (page, id) => Number((await page.textContent(id)).replaceAll(",", ""));
const counts = async (page) => ({ at: await number(page, "#dup-threshold"), pairs: await number(page, "#dup-pairs"), duplicates: await number(page, "#dup-duplicates"), clusters: await number(page, "#dup-clusters") });
const quiet = (page) => page.waitForFunction(() => document.querySelector("#duplicates").getAttribute("aria-busy") === "false" && document.querySelector("#dup-threshold"));

/** plot tells where a cosine lies in the histogram, which begins at the report's floor. */
async function plot(page) {
  const box = await page.locator(".plot").boundingBox();
  const floor = Number(await page.getAttribute("#threshold", "aria-valuemin"));
  return { floor, x: (v) => box.x + ((v - floor) / (1 - floor)) * box.width, y: box.y + 80 };
}

/** listed reads pairs of ids that are known of the demo catalogue. */
const listed = async (name) => (await readFile(new URL(`../../testdata/catalogue/${name}.tsv`, import.meta.url), "utf8")).trim().split("\n").slice(1).map((l) => l.split("\t"));

export default function (ctx) {
  let address = ""; // of a report, which the first test makes in the page

  /** report gives it, also to a test that runs alone. */
  async function report() {
    if (address) return new URL(ctx.url + address).searchParams.get("report");
    const { task } = await ctx.server.api("POST", "/collections/demo/duplicates", { keep: "highest:rating", cross: "off" });
    for (let now = task; now.status !== "succeeded"; now = await ctx.server.api("GET", `/tasks/${task.id}`)) await new Promise((r) => setTimeout(r, 100));
    address = `/?view=duplicates&c=demo&report=${task.id}`;
    return task.id;
  }

  const show = async (query = "", options) => {
    await report();
    const page = await open(ctx.browser, ctx.url + address + query, options);
    await page.waitForSelector(".cluster, .dup-clusters .notice");
    await quiet(page);
    return page;
  };
  const cut = (page, act) => Promise.all([page.waitForResponse((r) => /\/duplicates\/\d+\?/.test(r.url()) && r.ok()), act()]).then(() => quiet(page));

  test("duplicates are looked for from the page, and the report has an address of its own", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo`);
    await settled(page);
    await page.click("#duplicates-open");
    await page.waitForSelector("#find");
    assert.match(await page.textContent(".find-text"), /3,000 documents/);
    const rules = await page.$$eval("#find-keep option", (all) => all.map((o) => o.value));
    for (const rule of ["first", "most_complete", "highest:rating", "lowest:price", "newest:added"]) assert.ok(rules.includes(rule), `${rule} in ${rules}`);
    await page.selectOption("#find-keep", "highest:rating");
    await page.uncheck("#find-cross");
    await page.click("#find");
    await page.waitForSelector(".cluster", { timeout: 60_000 });
    address = new URL(page.url()).search.replace(/^/, "/");
    assert.match(address, /view=duplicates&c=demo&report=\d+/);
    const n = await counts(page);
    assert.equal(n.at, 0.9);
    assert.ok(n.pairs >= n.duplicates && n.duplicates >= n.clusters && n.clusters > 100, JSON.stringify(n));
    assert.match(await page.textContent(".cluster .reason"), /rating [\d.]+, the highest of \d/);
    await page.goBack();
    await page.waitForSelector("#find");
    await page.click(".earlier-one");
    await page.waitForSelector(".cluster");
    await page.click("#dup-back");
    await settled(page);
    assert.equal(await page.isVisible("#hits .hit"), true);
    await healthy(page);
  });

  test("the histogram shows every pair, and dragging the line changes the counts, never upwards as it goes right", async () => {
    const page = await show();
    const bars = await page.$$eval(".bars .all", (all) => all.map((r) => ({ y: Number(r.getAttribute("y")), height: Number(r.getAttribute("height")) })));
    assert.ok(bars.length > 10);
    for (const b of bars) assert.ok(b.height > 0.05 && Math.abs(b.y + b.height - 1) < 1e-9, JSON.stringify(b)); // the least band is still seen
    const { x, y, floor } = await plot(page);
    await page.mouse.move(x(0.9), y);
    await page.mouse.down();
    let last = { pairs: Infinity, duplicates: Infinity, at: 0 };
    for (const v of [0.82, 0.86, 0.9, 0.94, 0.98]) {
      await cut(page, () => page.mouse.move(x(v), y, { steps: 4 }));
      await page.waitForFunction((want) => Math.abs(Number(document.querySelector("#dup-threshold").textContent) - want) < 0.006, v);
      const now = await counts(page);
      assert.ok(now.at > last.at && now.pairs <= last.pairs && now.duplicates <= last.duplicates, `${JSON.stringify(last)} then ${JSON.stringify(now)}`);
      last = now;
    }
    await page.mouse.up();
    assert.match(page.url(), /threshold=0\.98/);
    const before = await page.evaluate(() => history.length);
    await page.focus("#threshold");
    await cut(page, () => page.keyboard.press("Home"));
    assert.equal((await counts(page)).at, floor);
    await cut(page, () => page.keyboard.press("ArrowRight"));
    assert.equal((await counts(page)).at, Number((floor + 0.005).toFixed(3)));
    await cut(page, () => page.keyboard.press("PageUp"));
    const now = (floor + 0.055).toFixed(3);
    assert.equal(await page.getAttribute("#threshold", "aria-valuenow"), now);
    assert.match(await page.getAttribute("#threshold", "aria-valuetext"), new RegExp(`cosine ${now}: [\\d,]+ duplicates in [\\d,]+ clusters`));
    assert.equal(await page.evaluate(() => history.length), before, "a dragged line fills no history");
    await cut(page, () => page.keyboard.press("End"));
    assert.match(await page.textContent(".dup-clusters .notice"), /No duplicates at this threshold/);
    assert.equal(await page.isDisabled('[data-all="delete"]'), true);
    await healthy(page);
  });

  test("a finger drags the line too", async () => {
    const page = await show("", PHONE);
    const start = await counts(page);
    const { x, y } = await plot(page);
    const touch = await page.context().newCDPSession(page);
    const at = (v) => [{ x: x(v), y }];
    await touch.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: at(0.9) });
    for (const v of [0.91, 0.93, 0.95]) await touch.send("Input.dispatchTouchEvent", { type: "touchMove", touchPoints: at(v) });
    await touch.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
    await page.waitForFunction(() => Number(document.querySelector("#dup-threshold").textContent) > 0.94);
    await quiet(page);
    const now = await counts(page);
    assert.ok(now.duplicates < start.duplicates, JSON.stringify([start, now]));
    await healthy(page);
  });

  test("the band under the pointer shows pairs of it", async () => {
    const page = await show();
    const { x, y } = await plot(page);
    await page.mouse.move(x(0.865), y);
    await page.waitForFunction(() => /0\.86 to 0\.87/.test(document.querySelector(".dup-samples h2")?.textContent));
    const cosines = await page.$$eval(".sample .meta", (all) => all.map((el) => Number(el.textContent.match(/cosine ([\d.]+)/)[1])));
    assert.ok(cosines.length > 0 && cosines.every((c) => c >= 0.86 && c <= 0.87), cosines.join());
    await page.waitForFunction(() => [...document.querySelectorAll(".sample-title")].every((el) => el.textContent.includes(" "))); // titles, not ids
    await healthy(page);
  });

  test("a pair is compared word by word, and what differs is seen without colour", async () => {
    const page = await show("&threshold=0.95");
    const member = page.locator(".member").first();
    const kept = await page.getAttribute(".cluster", "data-kept"), id = await member.getAttribute("data-id");
    await member.locator('[data-act="compare"]').click();
    await page.waitForSelector(".compare del, .compare ins");
    const [a, b] = await Promise.all([kept, id].map((x) => ctx.server.api("GET", `/collections/demo/documents/${x}`)));
    const field = await page.$$eval(".compare .diff-field", (all) => all.map((el) => ({ name: el.querySelector("h4").textContent, whole: el.querySelector(".diff").textContent, out: [...el.querySelectorAll("del")].map((d) => d.textContent).join(" "), without: [...el.querySelector(".diff").childNodes].filter((n) => n.nodeName !== "DEL").map((n) => n.textContent).join("") })));
    const squeeze = (s) => s.replace(/\s+/g, "");
    const title = field.find((f) => f.name === "Title");
    assert.equal(squeeze(title.without), squeeze(b.title)); // what is left without the struck-out words is the second title
    for (const word of title.out.split(" ").filter(Boolean)) assert.ok(a.title.includes(word), `${word} in ${a.title}`);
    const style = await page.evaluate(() => [...document.querySelectorAll(".diff-key del, .diff-key ins")].map((el) => getComputedStyle(el).textDecorationLine));
    assert.deepEqual(style, ["line-through", "underline"]);
    const rows = await page.$$eval(".differ tbody tr", (all) => Object.fromEntries(all.map((tr) => [tr.children[0].textContent, [tr.children[1].textContent, tr.children[2].textContent]])));
    assert.deepEqual(rows.Id, [kept, id]);
    for (const [name, pair] of Object.entries(rows)) assert.notEqual(pair[0], pair[1], name);
    await healthy(page);
  });

  test("answers are kept as labels, and nothing is learnt from fewer than fifty", async () => {
    const page = await show();
    const before = await ctx.server.api("GET", "/collections/demo/duplicates/labels");
    const first = page.locator(".member").first(), second = page.locator(".member").nth(1);
    const said = (what) => page.waitForResponse((r) => r.url().endsWith("/labels") && r.request().method() === "POST").then(() => what);
    await Promise.all([said(), first.locator('[data-same="true"]').click()]);
    await Promise.all([said(), second.locator('[data-same="false"]').click()]);
    await page.waitForFunction((n) => Number(document.querySelector("#answers-count b").textContent) === n, before.labels + 2);
    if ("learnable" in before) {
      assert.equal(await page.isDisabled("#learn"), true);
      assert.match(await page.textContent("#learn-detail"), /\d+ more/);
    }
    await page.reload();
    await page.waitForSelector('.member [data-same="true"][aria-pressed="true"]');
    assert.equal(await second.locator('[data-same="false"]').getAttribute("aria-pressed"), "true");
    const labels = await ctx.server.api("GET", "/collections/demo/duplicates/labels");
    assert.equal(labels.same, before.same + 1);
    await healthy(page);
  });

  test("a rule is learnt from answers, says how good it is, and is used when one says so", async (t) => {
    if (!("learnable" in (await ctx.server.api("GET", "/collections/demo/duplicates/labels")))) return t.skip("this server does not learn rules");
    const name = `lessons-${process.pid}`;
    const planted = (await listed("duplicates")).slice(0, 90), alike = (await listed("nonduplicates")).slice(0, 90);
    const docs = await Promise.all([...new Set([...planted, ...alike].flat())].map((id) => ctx.server.api("GET", `/collections/demo/documents/${id}`)));
    await ctx.server.api("POST", `/collections/${name}/documents/import`, docs.map((d) => JSON.stringify(d)).join("\n"), "application/x-ndjson");
    const page = await open(ctx.browser, `${ctx.url}/?view=duplicates&c=${name}`);
    await page.click("#find");
    await page.waitForSelector(".cluster", { timeout: 90_000 });
    const pairs = [...planted.map(([a, b]) => ({ a, b, same: true })), ...alike.map(([a, b]) => ({ a, b, same: false }))];
    await ctx.server.api("POST", `/collections/${name}/duplicates/labels`, { labels: pairs });
    await page.reload();
    await page.waitForFunction(() => document.querySelector("#learn")?.disabled === false);
    await page.fill("#learn-precision", "0.9");
    await page.route("**/learn", (r) => r.fulfill({ status: 400, json: { code: "invalid", detail: "50 labelled pairs are too few; 3 more labels are of exact copies" } }), { times: 1 });
    await page.click("#learn");
    assert.match(await page.textContent(".learn [role=alert]"), /3 more labels are of exact copies/); // it stays, because it is long
    assert.equal(await page.inputValue("#learn-precision"), "0.9");
    await page.click("#learn");
    await page.waitForSelector("#lesson");
    assert.equal(await page.locator(".learn [role=alert]").count(), 0);
    const rows = await page.$$eval("#lesson tbody tr", (all) => Object.fromEntries(all.map((tr) => [tr.children[0].textContent, Number(tr.children[1].textContent)])));
    for (const part of ["Precision", "Recall", "F1"]) assert.ok(rows[part] > 0.8 && rows[part] <= 1, JSON.stringify(rows));
    assert.match(await page.textContent("#lesson"), /0\.9 is (not )?reached/);
    await page.click("#learn-save");
    await page.waitForSelector(".lesson-saved");
    const { settings } = await ctx.server.api("GET", `/collections/${name}`);
    assert.ok(Object.keys(settings.duplicate_rule.weights).length > 0);
    await page.click("#dup-again");
    await page.click("#find");
    await page.waitForSelector(".histogram.learnt", { timeout: 90_000 });
    await page.focus("#threshold");
    await cut(page, () => page.keyboard.press("Home"));
    const least = await counts(page);
    await cut(page, () => page.keyboard.press("PageUp"));
    assert.ok((await counts(page)).duplicates <= least.duplicates);
    assert.match(await page.getAttribute("#threshold", "aria-valuetext"), /^probability 0\.055:/);
    await healthy(page);
    await ctx.server.api("DELETE", `/collections/${name}`);
  });

  test("duplicates are flagged after a question that says how many, and the flags are taken back", async () => {
    const page = await show("&threshold=0.96");
    const n = await counts(page);
    await page.click('[data-all="flag"]');
    assert.match(await page.textContent("#confirm"), new RegExp(`${n.duplicates} documents? in ${n.clusters} clusters?`));
    await page.click("#confirm-no");
    const marked = async () => (await ctx.server.api("POST", "/collections/demo/search", { q: "", filter: '_duplicate = "flag"', limit: 1 })).total;
    assert.equal(await marked(), 0);
    await page.click('[data-all="flag"]');
    await page.click("#confirm-yes");
    await page.waitForSelector('.actions [data-act="undo"]');
    assert.equal(await marked(), n.duplicates);
    assert.equal(await page.textContent(".cluster-done"), "flagged");
    await page.click('.actions [data-act="undo"]');
    await page.waitForSelector(".actions .undone");
    assert.equal(await marked(), 0);
    assert.equal(await page.textContent(".cluster-done"), "");
    await healthy(page);
  });

  test("the duplicates of one cluster are deleted and brought back; what was called no duplicate stays", async () => {
    const page = await show("&threshold=0.93&page=2");
    const { members, kept } = await page.evaluate(() => {
      const el = [...document.querySelectorAll(".cluster")].sort((a, b) => b.querySelectorAll(".member").length - a.querySelectorAll(".member").length)[0];
      return { kept: el.dataset.kept, members: [...el.querySelectorAll(".member")].map((m) => m.dataset.id) };
    });
    const card = page.locator(`.cluster[data-kept="${kept}"]`);
    const there = (id) => ctx.server.api("GET", `/collections/demo/documents/${id}`).then(() => true, () => false);
    const documents = async () => (await ctx.server.api("GET", "/collections/demo")).documents;
    await card.locator('[data-act="delete"]').click();
    assert.match(await page.textContent("#confirm-title"), new RegExp(`Delete ${members.length} duplicates?\\?`));
    assert.equal(await page.evaluate(() => document.activeElement.id), "confirm-no");
    await page.click("#confirm-yes");
    await page.waitForFunction((id) => document.querySelector(`.cluster[data-kept="${id}"] .cluster-done`)?.textContent === "deleted", kept);
    assert.equal(await documents(), 3000 - members.length);
    assert.deepEqual([await there(kept), ...(await Promise.all(members.map(there)))], [true, ...members.map(() => false)]);
    await page.locator('.actions li:not(.undone) [data-act="undo"]').first().click();
    await page.waitForFunction(() => !document.querySelector('.actions li:not(.undone)'));
    assert.equal(await documents(), 3000);
    assert.equal(await there(members[0]), true);
    await card.locator('[data-same="false"]').first().click();
    assert.equal((await card.locator('[data-act="delete"]').textContent()).trim(), members.length === 2 ? "Delete the duplicate" : `Delete the ${members.length - 1} duplicates`);
    assert.equal(await card.locator('[data-act="delete"]').isDisabled(), members.length === 1);
    if (members.length > 1) {
      await card.locator('[data-act="delete"]').click();
      assert.match(await page.textContent("#confirm"), /1 document that you called not a duplicate is left out/);
      await page.click("#confirm-yes");
      await page.waitForFunction((id) => document.querySelector(`.cluster[data-kept="${id}"] .cluster-done`)?.textContent === "deleted", kept);
      assert.equal(await there(members[0]), true);
      assert.equal(await documents(), 3000 - members.length + 1);
      await page.locator('.actions li:not(.undone) [data-act="undo"]').first().click();
      await page.waitForFunction(() => !document.querySelector('.actions li:not(.undone)'));
    }
    assert.equal(await documents(), 3000);
    await healthy(page);
  });

  test("another document of a cluster can be the one to keep", async () => {
    const page = await show("&threshold=0.94");
    const kept = await page.getAttribute(".cluster", "data-kept");
    const other = await page.locator(".cluster").first().locator(".member").first().getAttribute("data-id");
    await page.locator(".member").first().locator('[data-act="keep"]').click();
    await page.waitForFunction((id) => document.querySelector(".cluster").dataset.kept === id, other);
    assert.match(await page.textContent(".cluster .reason"), /your choice/);
    await page.locator(".cluster").first().locator('[data-act="delete"]').click();
    await page.click("#confirm-yes");
    await page.waitForSelector('.actions li:not(.undone) [data-act="undo"]');
    await assert.rejects(ctx.server.api("GET", `/collections/demo/documents/${kept}`), /404/);
    await ctx.server.api("GET", `/collections/demo/documents/${other}`);
    await page.locator('.actions li:not(.undone) [data-act="undo"]').first().click();
    await page.waitForFunction(() => !document.querySelector('.actions li:not(.undone)'));
    await ctx.server.api("GET", `/collections/demo/documents/${kept}`);
    await healthy(page);
  });

  test("a report is downloaded as JSONL and as CSV, cut where the line is", async () => {
    const page = await show("&threshold=0.95");
    const n = await counts(page);
    const fetchFile = async (format) => {
      const [file] = await Promise.all([page.waitForEvent("download"), page.click(`[data-format="${format}"]`)]);
      assert.equal(file.suggestedFilename(), `demo-duplicates.${format}`);
      return (await readFile(await file.path(), "utf8")).trim().split("\n");
    };
    const lines = (await fetchFile("jsonl")).map((l) => JSON.parse(l));
    assert.equal(lines.filter((l) => l.type === "cluster").length, n.clusters);
    const rows = await fetchFile("csv");
    assert.equal(rows.filter((r) => /^\d+,duplicate,/.test(r)).length, n.duplicates);
    await healthy(page);
  });

  test("a search for duplicates that is stopped, a report that is gone and an empty collection say so", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?view=duplicates&c=demo&report=999999`);
    await page.waitForSelector(".dup-body .notice");
    await page.click('.dup-body .ways button:has-text("Search again")');
    await page.waitForSelector("#find");
    await page.route("**/tasks/77*", (r) => r.fulfill({ json: { id: "77", status: "canceled", progress: {} } }));
    await page.route("**/collections/demo/duplicates", (r) => (r.request().method() === "POST" ? r.fulfill({ status: 202, json: { task: { id: "77" } } }) : r.continue()));
    await page.click("#find");
    await page.waitForFunction(() => /was stopped/.test(document.querySelector("#toast").textContent));
    assert.equal(await page.isVisible("#find"), true);
    const name = `void-${process.pid}`;
    await ctx.server.api("PUT", `/collections/${name}`, { id_field: "id", text: [{ field: "title" }], embed_template: "{{title}}" });
    await page.goto(`${ctx.url}/?view=duplicates&c=${name}`);
    await page.waitForSelector("#find");
    assert.match(await page.textContent(".find-text"), /empty/);
    assert.equal(await page.isDisabled("#find"), true);
    await healthy(page);
    await ctx.server.api("DELETE", `/collections/${name}`);
  });

  test("a search for duplicates is stopped on the server, not only on the page", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?view=duplicates&c=demo`);
    await page.waitForSelector("#find");
    const begun = page.waitForResponse((r) => r.url().endsWith("/duplicates") && r.request().method() === "POST");
    await page.click("#find");
    await page.click('.finding button:has-text("Stop")');
    const { task } = await (await begun).json();
    await page.waitForFunction(() => /was stopped/.test(document.querySelector("#toast").textContent));
    assert.equal((await ctx.server.api("GET", `/tasks/${task.id}`)).status, "canceled");
    await page.waitForSelector("#find:enabled");
    await healthy(page);
  });

  test("the pages of a long report hold every cluster once", async () => {
    const page = await show();
    const { clusters } = await counts(page);
    assert.ok(clusters > 100);
    const seen = [];
    for (let at = 1; ; at++) {
      seen.push(...(await page.$$eval(".cluster", (all) => all.map((el) => el.dataset.kept))));
      assert.equal((await counts(page)).clusters, clusters);
      const next = page.locator('.dup-pager button[aria-label="Next page"]:enabled');
      if ((await next.count()) === 0) break;
      await cut(page, () => next.click());
      await page.waitForURL(new RegExp(`page=${at + 1}`));
    }
    assert.equal(seen.length, clusters);
    assert.equal(new Set(seen).size, clusters);
    await healthy(page);
  });

  test("documents without vectors are compared by their text alone, and the page says so", async () => {
    const name = `bare-${process.pid}`;
    await ctx.server.api("PUT", `/collections/${name}`, { id_field: "id", text: [{ field: "title" }], embed_template: "{{title}}", embedder: "none", vector_field: "v", dimension: 4 });
    await ctx.server.api("POST", `/collections/${name}/documents/import`, '{"id":"1","title":"Red lamp"}\n{"id":"2","title":"red  LAMP"}\n{"id":"3","title":"blue lamp"}\n', "application/x-ndjson");
    const page = await open(ctx.browser, `${ctx.url}/?view=duplicates&c=${name}`);
    await page.click("#find");
    await page.waitForSelector(".cluster");
    await quiet(page);
    assert.match(await page.textContent(".dup-head"), /None of them has a vector/);
    assert.match(await page.textContent(".plot-empty"), /None of these documents has a vector/);
    assert.deepEqual(await page.$$eval(".member", (all) => all.map((el) => el.dataset.id)), ["2"]);
    assert.match(await page.textContent(".member .meta"), /same text/);
    await healthy(page);
    await ctx.server.api("DELETE", `/collections/${name}`);
  });

  test("a key that may only read is told so for as long as it matters, and nothing looks done", async () => {
    const page = await show("&threshold=0.95");
    const refuse = (r) => (r.request().method() === "GET" ? r.continue() : r.fulfill({ status: 403, contentType: "application/problem+json", body: JSON.stringify({ status: 403, code: "forbidden", detail: "This key may only read." }) }));
    for (const path of ["**/duplicates/labels", "**/duplicates/*/apply", "**/collections/demo/duplicates"]) await page.route(path, refuse);
    const same = page.locator('.member [data-same="false"]').last();
    await same.click();
    await page.waitForSelector('.dup-refused [role="alert"]');
    assert.match(await page.textContent(".dup-refused"), /This key may only read\. Looking, comparing/);
    assert.equal(await same.getAttribute("aria-pressed"), "false");
    await page.click('[data-all="delete"]');
    await page.click("#confirm-yes");
    await page.waitForTimeout(300);
    assert.equal(await page.textContent(".cluster-done"), "");
    assert.match(await page.textContent(".dup-refused"), /This key may only read/);
    await page.click("#dup-again");
    await page.waitForSelector("#find");
    await page.click("#find");
    await page.waitForFunction(() => /may only read/.test(document.querySelector(".find .field-error")?.textContent));
    assert.equal(await page.isEnabled("#find"), true);
    await healthy(page);
  });

  test("duplicates are gone through without a mouse", async () => {
    const page = await show("&threshold=0.95");
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.dataset.act || document.activeElement.dataset.same || "");
    const tabTo = async (what) => {
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press("Tab");
        if ((await focused()) === what) return;
      }
      assert.fail(`${what} is not reached with Tab`);
    };
    await tabTo("threshold");
    await cut(page, () => page.keyboard.press("ArrowRight"));
    assert.equal((await counts(page)).at, 0.955);
    assert.equal(await focused(), "threshold", "a cut leaves the focus where it was");
    await page.locator(".cluster").first().locator('[data-act="keep"]').first().focus();
    await page.keyboard.press("Shift+Tab");
    await tabTo("compare");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".member .compare .diff");
    await tabTo("flag");
    await page.keyboard.press("Enter");
    assert.equal(await focused(), "confirm-no");
    await page.keyboard.press("Escape");
    assert.equal(await page.isVisible("#confirm"), false);
    assert.equal(await focused(), "flag", "the dialog gives the focus back");
    await page.keyboard.press("Enter");
    await tabTo("confirm-yes");
    await page.keyboard.press("Enter");
    await page.waitForSelector('.cluster-foot [data-act="undo"]');
    assert.equal(await focused(), "flag", "what is drawn anew keeps the focus");
    await page.keyboard.press("Shift+Tab");
    assert.equal(await focused(), "undo");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".actions li.undone");
    await page.waitForFunction(() => document.querySelector(".cluster-done").textContent === "");
    assert.equal(await focused(), "flag");
    await healthy(page);
  });

  test("nothing of the view is wider than a phone, and every control has a name", async () => {
    const page = await show("&threshold=0.93", PHONE);
    await page.locator('.member [data-act="compare"]').first().click();
    await page.waitForSelector(".compare .diff");
    const fits = () => page.evaluate(() => [document.documentElement.scrollWidth, ...[...document.querySelectorAll("body *")].filter((el) => el.checkVisibility() && !el.closest(".vh, .skip, .scroll, .busy") && el.getBoundingClientRect().right > 361).map((el) => `${el.tagName}.${el.className}`).slice(0, 5)]);
    assert.deepEqual(await fits(), [360]);
    assert.deepEqual(await page.evaluate(nameless), []);
    await page.click('[data-all="delete"]');
    assert.deepEqual(await page.evaluate(nameless), []);
    assert.deepEqual(await fits(), [360]);
    await page.click("#confirm-no");
    await page.goto(`${ctx.url}/?view=duplicates&c=demo`);
    await page.waitForSelector("#find");
    assert.deepEqual(await fits(), [360]);
    await healthy(page);
  });

  for (const colorScheme of ["light", "dark"]) {
    test(`text of the view stands out enough in the ${colorScheme} theme`, async () => {
      const page = await show("&threshold=0.93", { colorScheme });
      await page.locator('.member [data-act="compare"]').first().click();
      await page.waitForSelector(".compare .diff");
      await page.waitForSelector(".sample");
      assert.deepEqual(await page.evaluate(contrasts), []);
      await page.goto(`${ctx.url}/?view=duplicates&c=demo`);
      await page.waitForSelector("#find");
      assert.deepEqual(await page.evaluate(contrasts), []);
      await healthy(page);
    });
  }

  test("hostile titles, ids and reasons are letters in clusters, samples and comparisons", async () => {
    const name = `hostile-twins-${process.pid}`;
    await ctx.server.api("PUT", `/collections/${name}`, { id_field: "id", text: [{ field: "title" }, { field: "text" }], attributes: { brand: "keyword", note: "keyword" }, embed_template: "{{title}} {{text}}", reranker: "none" });
    const docs = payloads.flatMap((p, i) => ["a", "b"].map((x) => ({ id: `${x}${i} ${p}`, title: `lantern number ${i} ${p}`, text: `A garden lantern ${p} that shines ${x === "a" ? "at" : "by"} night`, brand: p, note: `${x} ${p}` }))); // brands that differ are told in reasons
    const imported = await ctx.server.api("POST", `/collections/${name}/documents/import`, docs.map((d) => JSON.stringify(d)).join("\n"), "application/x-ndjson");
    assert.equal(imported.indexed, docs.length, JSON.stringify(imported.errors));
    const page = await open(ctx.browser, `${ctx.url}/?view=duplicates&c=${name}`);
    await page.waitForSelector("#find");
    await page.click("#find");
    await page.waitForSelector(".cluster", { timeout: 60_000 });
    await page.$$eval('[data-act="compare"]', (all) => all.forEach((el) => el.click()));
    await page.waitForFunction(() => document.querySelectorAll(".compare .diff").length >= 10);
    await page.$$eval(".compare *, .cluster *, .sample *", (all) => { for (const el of all) for (const type of ["mouseover", "pointermove", "focus", "toggle"]) el.dispatchEvent(new Event(type, { bubbles: true })); });
    assert.ok((await page.textContent(".dup-clusters")).includes("<"));
    await page.$$eval('[data-same="true"]', (all) => all[0].click());
    await page.click('[data-all="link"]');
    await page.click("#confirm-yes");
    await page.waitForSelector('.actions [data-act="undo"]');
    await healthy(page);
    // and a server that says anything
    const odd = await open(ctx.browser, null);
    const pair = (p) => ({ a: p, b: `b${p}`, cosine: 0.95, cross: 0.5, score: 1, same: true, reason: p });
    const anything = { documents: 2, took_ms: 1, floor: 0.8, threshold: 0.9, keep: payloads[4], rule: {}, pairs: 1, same: 1, duplicates: 1, total: payloads.length, exact: 0, histogram: [{ from: 0.8, to: 0.9, pairs: 3, same: 0, samples: payloads.map(pair) }, { from: 0.9, to: 1, pairs: 3, same: 1, samples: payloads.map(pair) }],
      clusters: payloads.map((p) => ({ kept: p, title: p, why: p, members: [{ id: `m${p}`, title: p, cosine: 0.95, score: 1, reason: p }] })) };
    await odd.route("**/duplicates/1?*", (r) => r.fulfill({ json: anything }));
    await odd.route("**/duplicates/labels", (r) => r.fulfill({ json: { labels: 1, same: 1, learnable: false, detail: payloads[4], pairs: [] } }));
    await odd.route("**/duplicates/actions", (r) => r.fulfill({ json: { actions: payloads.map((p) => ({ id: p, action: p, created: "2026-01-01T00:00:00Z", documents: 1 })) } }));
    await odd.route("**/documents/*", (r) => r.fulfill({ json: { id: payloads[4], title: payloads[4] + Math.random(), [payloads[4]]: Math.random() } }));
    await odd.goto(`${ctx.url}/?view=duplicates&c=${name}&report=1`);
    await odd.waitForSelector(".cluster");
    assert.deepEqual(await odd.$$eval(".cluster h3", (all) => all.map((el) => el.textContent)), payloads);
    await odd.$$eval('[data-act="compare"]', (all) => all.forEach((el) => el.click()));
    await odd.waitForFunction((n) => document.querySelectorAll(".cluster .compare .diff").length === n, payloads.length);
    await healthy(odd);
    await ctx.server.api("DELETE", `/collections/${name}`);
  });

  test("hits that say the same are folded under one, which names them", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=double-wall+vacuum+tumbler&mode=semantic`);
    await settled(page);
    assert.equal(await page.locator('[data-act="folded"]').count(), 0);
    const answer = page.waitForResponse((r) => r.url().endsWith("/search") && r.request().postDataJSON()?.collapse_duplicates === true);
    await page.check("#fold");
    const { hits } = await (await answer).json();
    await page.waitForSelector('[data-act="folded"]');
    const hit = hits.find((x) => x.duplicates > 0);
    const card = page.locator(`.hit[data-id="${hit.id}"]`);
    assert.equal(await card.locator('[data-act="folded"]').textContent(), `+${hit.duplicates} like this`);
    await card.locator('[data-act="folded"]').click();
    await page.waitForFunction(() => [...document.querySelectorAll(".folded-title")].every((el) => el.textContent.includes(" ")));
    const inside = await card.locator(".folded .id").allTextContents();
    assert.deepEqual(inside, hit.duplicate_ids);
    assert.match(page.url(), /fold=1/);
    await healthy(page);
  });
}
