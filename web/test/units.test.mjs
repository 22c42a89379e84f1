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
const { diff, words } = await import(new URL("diff.js", STATIC));
const { createEvents } = await import(new URL("follow.js", STATIC));
const { height, mixed, powers, snap } = await import(new URL("threshold.js", STATIC));
const { keepRules } = await import(new URL("finder.js", STATIC));
const { compared } = await import(new URL("compare.js", STATIC));
const { columnsOf } = await import(new URL("report.js", STATIC));
const { command } = await import(new URL("curl.js", STATIC));
const { lastPage, requestFor } = await import(new URL("search.js", STATIC));

test("an address survives the way to a state and back", () => {
  const address = "?c=demo&q=tea+pot&mode=keyword&f.brand=A%26B&f.brand=%22q%22&min.price=3&lt.price=50&where=rating+%3E+4&sort=price%3Aasc&like=x%2Fy&page=3";
  assert.equal(state.format(state.parse(address)), address);
});

test("an address of the view of duplicates survives too, and one that means nothing is left out", () => {
  const address = "?view=duplicates&c=demo&sort=price%3Aasc&report=000000000007&threshold=0.905&keep=newest%3Aadded&fold=1&page=2";
  assert.equal(state.format(state.parse(address)), address);
  for (const bad of ["1.5", "-1", "0.9x", "", "0", "1e-3"]) assert.equal(state.parse(`?threshold=${bad}`).threshold, "", bad);
  assert.equal(state.parse("?view=elsewhere").view, "");
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
  for (const [file, want] of [["Garden Tools (2024).csv", "garden-tools-2024"], ["products.jsonl.gz", "products"], ["Ünïcode.json", "unicode"], ["日本.csv", "import"], ["tools.failed.csv", "tools"], ["wide.parquet", "wide"], ["_x_.csv", "x_"], ["a".repeat(99) + ".csv", "a".repeat(64)]]) {
    assert.ok(validName(nameFor(file)), file);
    assert.equal(nameFor(file), want);
  }
});

/** written shows a diff in one line. */
const written = (a, b) => diff(a, b).map(({ op, text }) => (op === "out" ? `[-${text}]` : op === "in" ? `[+${text}]` : text)).join("");

test("a diff names the words that differ and keeps the rest", () => {
  const f = (a, b, want) => assert.equal(written(a, b), want);
  f("Steel flask, 500 ml, blue", "Steel flask, 590 ml, blue", "Steel flask, [-500 ][+590 ]ml, blue");
  f("same words", "same  words", "same  words"); // spaces are no difference
  f("", "new", "[+new]");
  f("old", "", "[-old]");
  f("", "", "");
  f("It is dry. It is warm.", "It is dry.", "It is dry. [-It is warm.]"); // the sentence, not ". It is warm"
  f("It is dry.", "It is dry. It is warm.", "It is dry. [+It is warm.]");
  f("jeans W36, blue", "jeans Teal – W32, blue", "jeans [-W36] [+Teal – W32], blue");
  f("a b c", "c b a", "[-a b ]c [+b a]");
});

test("a diff loses no word of either text, whatever they are", () => {
  const seed = Date.now() % 1e9;
  let n = seed;
  const random = (m) => (n = (n * 1103515245 + 12345) % 2147483648) % m;
  const text = () => Array.from({ length: random(30) }, () => ["red", "blue", "5", "ml", ".", ",", "–", "Ünï", "日本", "\u202Ex", "<b>"][random(11)] + ["", " ", "\n"][random(3)]).join("");
  const only = (s) => words(s).map((w) => w.word).join(" ");
  for (let i = 0; i < 500; i++) {
    const a = text(), b = text(), d = diff(a, b);
    const without = (op) => d.filter((r) => r.op !== op).map((r) => r.text + " ").join("");
    assert.equal(without("out").replace(/\s/g, ""), only(b).replace(/\s/g, ""), `seed ${seed}: ${JSON.stringify([a, b])}`);
    assert.equal(without("in").replace(/\s/g, ""), only(a).replace(/\s/g, ""), `seed ${seed}: ${JSON.stringify([a, b])}`);
  }
});

test("two very long texts are compared without a table of their product", () => {
  const long = (w) => Array.from({ length: 6000 }, (_, i) => w + i).join(" ");
  const began = performance.now();
  const d = diff(`start ${long("a")} end`, `start ${long("b")} end`);
  assert.deepEqual(d.map((r) => r.op), ["same", "out", "in", "same"]);
  assert.ok(performance.now() - began < 2000);
});

test("events are read however the stream is cut", () => {
  const stream = ': hello\n\nevent: progress\ndata: {"a":1}\n\nevent: end\r\ndata: {"b":\r\ndata: 2}\r\n\r\n';
  for (let size = 1; size < stream.length; size++) {
    const got = [];
    const take = createEvents((data) => got.push(data));
    for (let i = 0; i < stream.length; i += size) take(stream.slice(i, i + size));
    assert.deepEqual(got, ['{"a":1}', '{"b":\n2}'], `in pieces of ${size}`);
  }
});

test("the threshold moves in steps, within its bounds, and the least band is seen", () => {
  assert.deepEqual([0.9012, 0.9026, 2, 0.3].map((v) => snap(v, 0.8)), [0.9, 0.905, 1, 0.8]);
  assert.equal(snap(0, 0), 0.005); // a probability of 0 would take everything
  assert.equal(height(0, 1000), 0);
  assert.equal(height(1000, 1000), 1);
  assert.ok(height(1, 100_000) > 0.05);
  assert.deepEqual(powers(1500), [1, 10, 100, 1000]);
});

test("of a learnt rule the band is shown where duplicates and others are most mixed", () => {
  const band = (from, pairs, same) => ({ from, to: from + 0.01, pairs, same });
  assert.equal(mixed([band(0.8, 90, 2), band(0.81, 30, 12), band(0.82, 20, 19)]), 0.81);
  assert.equal(mixed([band(0.8, 0, 0), band(0.81, 3, 3), band(0.82, 0, 0)]), 0.81); // rather one with pairs
  assert.equal(mixed([]), 1);
});

test("keep rules are offered for the attributes that have an order", () => {
  assert.deepEqual(keepRules({ price: "number", brand: "keyword", added: "date" }).map(([rule]) => rule),
    ["first", "most_complete", "newest:added", "oldest:added", "highest:price", "lowest:price"]);
});

test("a comparison tells texts from other fields, and counts what is alike", () => {
  const got = compared({ id: "a", title: "Flask", price: 1, colour: "red" }, { id: "b", title: "Mug", price: 1, size: [1, 2] }, ["title"]);
  assert.deepEqual(got, { texts: [{ field: "title", a: "Flask", b: "Mug" }], others: [{ field: "id", a: "a", b: "b" }, { field: "colour", a: "red", b: "" }, { field: "size", a: "", b: "1, 2" }], alike: 1 });
  assert.deepEqual(compared(null, ["x"], []), { texts: [], others: [], alike: 0 });
});

test("each field of the settings is shown once with all that it is for", () => {
  const got = columnsOf({ id_field: "sku", text: [{ field: "title", weight: 3 }, { field: "body", weight: 1 }], identifiers: ["sku"], attributes: { price: "number", title: "keyword" }, embed_template: "{{title}}. {{ body }}" });
  assert.deepEqual(got, [{ field: "sku", parts: ["id", "identifier"], embedded: false }, { field: "title", parts: ["text ×3", "keyword"], embedded: true }, { field: "body", parts: ["text"], embedded: true }, { field: "price", parts: ["number"], embedded: false }]);
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
