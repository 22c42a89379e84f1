import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, healthy, ids, open, settled, titles } from "./browser.mjs";
import { start } from "./server.mjs";

const problem = (status, code, detail, more = {}) => ({ status, contentType: "application/problem+json", headers: more.headers ?? {}, body: JSON.stringify({ type: "about:blank", title: code, status, code, detail, request_id: "req-42", ...more.body }) });

export default function (ctx) {
  test("a refused request shows the field and the reason", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=lamp&sort=nonsense%3Asideways`);
    await settled(page);
    assert.equal(await page.getAttribute(".notice", "data-kind"), "error");
    assert.match(await page.textContent(".reasons dt"), /sort/);
    assert.ok((await page.textContent(".reasons dd")).length > 5);
    await page.click('.ways button:has-text("Sort by relevance")');
    await page.waitForSelector(".hit");
    await healthy(page);
  });

  test("a failing server is named as such, with the request to look for", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=lamp`);
    await settled(page);
    await page.route("**/search", (r) => r.fulfill(problem(500, "internal", "Something broke while searching.")));
    await page.fill("#q", "kettle");
    await page.waitForSelector('.notice[data-kind="error"]');
    assert.match(await page.textContent(".notice"), /Something broke while searching/);
    assert.match(await page.textContent(".notice"), /req-42/);
    assert.equal(await page.locator(".hit").count(), 0);
    await page.unroute("**/search");
    await page.click('.ways button:has-text("Try again")');
    await page.waitForSelector(".hit");
    await healthy(page);
  });

  test("an answer that is not Robin's is an error and not a blank page", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=lamp`);
    await settled(page);
    for (const answer of [{ status: 502, body: "<html><h1>Bad gateway</h1>" }, { status: 200, body: "<html>login</html>" }, { status: 500, body: "null" }, { status: 400, body: '{"errors":[null,{"pointer":5}]}' }]) {
      await page.route("**/search", (r) => r.fulfill(answer));
      await page.fill("#q", `kettle ${answer.status} ${answer.body.length}`);
      await page.waitForSelector('.notice[data-kind="error"]');
      await page.unroute("**/search");
      await ask(page, "lamp");
      await page.waitForSelector(".hit");
    }
    await healthy(page);
  });

  test("an overloaded server is asked again when it says", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=demo&q=lamp`);
    await settled(page);
    let refused = 0;
    await page.route("**/search", (r) => (refused++ === 0 ? r.fulfill(problem(429, "overloaded", "The search queue is full.", { headers: { "Retry-After": "3" } })) : r.continue()));
    const begun = Date.now();
    await page.fill("#q", "kettle");
    await page.waitForSelector('.notice[data-kind="error"]');
    assert.equal(await page.textContent(".notice h2"), "Robin is busy");
    assert.match(await page.textContent(".again"), /in \d s/);
    await page.waitForSelector(".hit");
    assert.ok(Date.now() - begun >= 2800, "waited as long as the server asked");
    await healthy(page);
  });

  test("a server that is killed is noticed, and the page goes on when it is back", { skip: !process.env.ROBIN_BIN && "needs ROBIN_BIN" }, async () => {
    let own = await start();
    const { data, addr } = own;
    try {
      await own.api("POST", "/collections/shelf/documents/import", '{"id":"a","title":"Oak shelf"}\n{"id":"b","title":"Pine shelf"}\n', "application/x-ndjson");
      const page = await open(ctx.browser, `${own.url}/?c=shelf&mode=keyword`);
      await settled(page);
      await own.kill();
      await page.fill("#q", "oak");
      await page.waitForSelector('.notice[data-kind="error"]');
      assert.equal(await page.textContent(".notice h2"), "Robin cannot be reached");
      own = await start({ addr, data });
      await page.waitForSelector(".hit", { timeout: 30_000 });
      assert.deepEqual(await titles(page), ["Oak shelf"]); // acknowledged before the kill
      await healthy(page);
    } finally {
      await own.kill();
    }
  });

  test("a collection that is not there is said, and others are offered", async () => {
    const page = await open(ctx.browser, `${ctx.url}/?c=no-such-shelf&q=lamp`);
    await settled(page);
    assert.equal(await page.textContent(".notice h2"), "There is no such collection");
    await page.click('.ways button:has-text("Open demo")');
    await page.waitForSelector(".hit");
    assert.match(page.url(), /c=demo/);
    await healthy(page);
  });

  test("a server without collections invites to import, and one that gets some shows them", async () => {
    const page = await open(ctx.browser, null);
    await page.route("**/collections", (r) => r.fulfill({ json: { collections: [] } }));
    await page.goto(ctx.url);
    await page.waitForSelector('.notice[data-kind="start"]');
    await page.click('.notice button:has-text("Choose a file")');
    assert.equal(await page.isVisible("#importer"), true);
    await page.click('#importer [aria-label="Close"]');
    await page.unroute("**/collections");
    await page.waitForSelector(".hit", { timeout: 15_000 });
    await healthy(page);
  });

  test("a part that is out of order is said above the hits", async () => {
    const page = await open(ctx.browser, null);
    await page.route("**/search", async (r) => {
      const res = await r.fetch();
      await r.fulfill({ json: { ...(await res.json()), degraded: ["vectors"], warnings: ["The query was longer than the model reads."] } });
    });
    await page.goto(`${ctx.url}/?c=demo&q=lamp`);
    await settled(page);
    assert.match(await page.textContent("#banner"), /vector index is out/);
    assert.match(await page.textContent("#banner"), /longer than the model/);
    assert.ok((await ids(page)).length > 0);
    await healthy(page);
  });

  test("a server that wants a key is given one, and it goes along with each request", async () => {
    const page = await open(ctx.browser, null);
    const keys = new Set();
    await page.route(/\/(collections|version)/, (r) => {
      const key = r.request().headers().authorization;
      if (key !== "Bearer s3cret") return r.fulfill(problem(401, "unauthorized", "Send a key."));
      keys.add(key);
      return r.continue();
    });
    await page.goto(`${ctx.url}/?c=demo&q=lamp`);
    await page.waitForSelector("#api-key");
    await page.fill("#api-key", "s3cret");
    await page.press("#api-key", "Enter");
    await page.waitForSelector(".hit");
    assert.deepEqual([...keys], ["Bearer s3cret"]);
    await healthy(page);
  });

  test("an upload that breaks off says so and can be tried again", async () => {
    const page = await open(ctx.browser, ctx.url);
    await settled(page);
    await page.route("**/import?*", (r) => r.abort("connectionreset"));
    await page.click("#import-open");
    await page.setInputFiles("#import-file", { name: `cut-${process.pid}.csv`, mimeType: "text/csv", buffer: Buffer.from("id,title\n1,Cut chair\n2,Whole chair\n") });
    await page.click("#import-start");
    await page.waitForFunction(() => /broke during the upload/.test(document.querySelector("#importer").textContent));
    await page.unroute("**/import?*");
    await page.click('#importer button:has-text("Try again")');
    await page.waitForSelector("#import-done");
    assert.equal(await page.textContent(".figures .good b"), "2");
    await healthy(page);
  });
}
