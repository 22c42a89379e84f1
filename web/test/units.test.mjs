// The parts of the page that need no browser.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";

globalThis.location = new URL("http://robin.test/");
globalThis.history = { pushState() {}, replaceState() {} };
globalThis.addEventListener = () => {};

const STATIC = new URL("../static/", import.meta.url);
const state = await import(new URL("state.js", STATIC));
const { chips, clause, expression, quote } = await import(new URL("filters.js", STATIC));
const { pages } = await import(new URL("pager.js", STATIC));
const { nameFor, validName } = await import(new URL("upload.js", STATIC));
const { command } = await import(new URL("curl.js", STATIC));
const { lastPage, requestFor } = await import(new URL("search.js", STATIC));

test("an address survives the way to a state and back", () => {
  const address = "?c=demo&q=tea+pot&mode=keyword&f.brand=A%26B&f.brand=%22q%22&min.price=3&lt.price=50&where=rating+%3E+4&sort=price%3Aasc&like=x%2Fy&page=3";
  assert.equal(state.format(state.parse(address)), address);
});

test("an address with nonsense gives a usable state", () => {
  const s = state.parse("?mode=magic&page=-3&page=x&f.=1&min.price=&unknown=1&f.__proto__=p");
  assert.equal(s.mode, state.DEFAULT_MODE);
  assert.equal(s.page, 1);
  assert.deepEqual(Object.keys(s.filters), ["__proto__"]);
  assert.equal({}.values, undefined); // the prototype is as it was
});

test("filters become an expression of the API", () => {
  const types = { brand: "keyword", price: "number", in_stock: "bool", added: "date", "odd name": "keyword", not: "keyword" };
  const f = (filters, want, extra = {}) => assert.equal(expression({ filters, where: "", ...extra }, types), want);
  f({ brand: { values: ["Acme"] } }, 'brand = "Acme"');
  f({ brand: { values: ["A", 'B "x" \\'] } }, 'brand IN ["A", "B \\"x\\" \\\\"]');
  f({ price: { min: "10", lt: "20" } }, "price >= 10 AND price < 20");
  f({ price: { min: "abc" } }, "");
  f({ in_stock: { values: ["true"] } }, "in_stock = true");
  f({ in_stock: { values: ["true", "false"] } }, ""); // both is no filter
  f({ added: { min: "2025-01-01" } }, 'added >= "2025-01-01"');
  f({ "odd name": { values: ["x"] } }, '"odd name" = "x"');
  f({ not: { values: ["x"] } }, '"not" = "x"'); // a keyword of the grammar
  f({ gone: { values: ["x"] } }, ""); // not an attribute of this collection
  f({ brand: { values: ["A"] } }, 'brand = "A" AND (a = 1 OR b = 2)', { where: "a = 1 OR b = 2" });
});

test("a field's own filter is left out for its own counts", () => {
  const s = { filters: { brand: { values: ["A"] }, price: { max: "5" } }, where: "" };
  assert.equal(expression(s, { brand: "keyword", price: "number" }, "brand"), "price <= 5");
});

test("quoted text cannot leave its quotes", () => {
  assert.equal(quote('" OR x = "'), '"\\" OR x = \\""');
  assert.equal(quote("a\nb\tc"), '"a\\nb\\tc"');
  assert.equal(clause("brand", { values: ['\\" OR 1=1'] }, "keyword"), 'brand = "\\\\\\" OR 1=1"');
});

test("every chip takes exactly its own part away", () => {
  const s = { filters: { brand: { values: ["A", "B"] }, price: { min: "1", max: "2" } }, where: "x = 1" };
  const got = chips(s, { brand: "keyword", price: "number" });
  assert.deepEqual(got.map((c) => c.label), ["Brand: A", "Brand: B", "Price 1 to 2", "x = 1"]);
  assert.deepEqual(state.withFilter(s.filters, "brand", got[0].left.part), { brand: { values: ["B"] }, price: { min: "1", max: "2" } });
  assert.deepEqual(Object.keys(state.withFilter(s.filters, "price", got[2].left.part)), ["brand"]);
});

test("the pager shows the ends, the neighbours, and no gap of one page", () => {
  assert.deepEqual(pages(1, 1), [1]);
  assert.deepEqual(pages(1, 20), [1, 2, 3, 4, 0, 20]);
  assert.deepEqual(pages(4, 20), [1, 2, 3, 4, 5, 0, 20]);
  assert.deepEqual(pages(10, 20), [1, 0, 9, 10, 11, 0, 20]);
  assert.deepEqual(pages(20, 20), [1, 0, 17, 18, 19, 20]);
  assert.equal(lastPage(1_000_000) * 20, 10_000); // the API's window
});

test("a file name becomes a valid collection name", () => {
  for (const [file, want] of [["Garden Tools (2024).csv", "garden-tools-2024"], ["products.jsonl.gz", "products"], ["Ünïcode.json", "unicode"], ["日本.csv", "import"], ["_x_.csv", "x_"], ["a".repeat(99) + ".csv", "a".repeat(64)]]) {
    assert.ok(validName(nameFor(file)), file);
    assert.equal(nameFor(file), want);
  }
});

test("the curl command is one shell word per argument", () => {
  const line = command("/collections/demo/search", { q: "it's $(rm -rf) `x`" });
  assert.ok(line.includes(`'{"q":"it'\\''s $(rm -rf) \`x\`"}'`), line);
});

test("modes ask for what they are called", () => {
  const f = (mode) => { const r = requestFor({ ...state.parse(""), mode }, {}); return [r.mode, r.rerank.mode]; };
  assert.deepEqual(["keyword", "semantic", "hybrid", "reranked"].map(f), [["keyword", "off"], ["semantic", "off"], ["hybrid", "off"], ["hybrid", "auto"]]);
});

test("no file of the page turns text into HTML, or loads anything from elsewhere", async () => {
  const files = await readdir(STATIC);
  assert.ok(files.includes("index.html"));
  for (const name of files) {
    const text = await readFile(new URL(name, STATIC), "utf8");
    const lines = text.split("\n").length;
    assert.ok(lines < 300, `${name} has ${lines} lines`);
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\(|new Function|srcdoc/, name);
    assert.doesNotMatch(text.replaceAll("http://www.w3.org/2000/svg", ""), /(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?\/\//, name);
    if (name.endsWith(".html")) assert.doesNotMatch(text, /<style|\sstyle=|\son[a-z]+=|<script(?![^>]*src=)/, name);
  }
});
