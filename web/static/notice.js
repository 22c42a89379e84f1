// What the page says when there is nothing to list: an invitation, no hits, no collection, or an error with a way out.

import { fill, h, icon } from "./dom.js";
import { count, label } from "./format.js";
import { hasFilters } from "./state.js";

const EXAMPLES = [
  "something to keep my coffee hot on the train",
  "my fingers get icy waiting at the bus stop",
  "the frames on my wall hang crooked",
  "dim the living room by talking to it",
  "hay fever makes me sneeze indoors",
  "help robins survive the frost",
];
export const DEMO = "demo"; // the collection that serve --demo fills

/** drawHero invites to search while nothing is asked. */
export function drawHero(root, { state, info, roles }, ask) {
  if (state.q || state.like || state.page > 1 || hasFilters(state) || state.sort || !info?.documents) return void fill(root);
  const demo = info.name === DEMO;
  const fields = (info.settings?.text ?? []).map((t) => label(t.field).toLowerCase());
  fill(root, h("div", { class: "hero" },
    h("p", { class: "hero-title" }, demo ? "Say what you need, in your own words." : `Search ${count(info.documents)} documents in ${info.name}.`),
    demo ? h("ul", { class: "examples", "aria-label": "Example searches" }, EXAMPLES.map((q) => h("li", null, h("button", { type: "button", class: "example", on: { click: () => ask(q) } }, q))))
      : h("p", { class: "hero-text" }, "It reads ", listed(fields.length ? fields : [roles.title]), ", and finds by words and by meaning.")));
}

const listed = (words) => words.map((w, i) => [i > 0 && (i === words.length - 1 ? " and " : ", "), h("b", null, w)]);

/** drawNoHits offers what could be loosened. */
export function drawNoHits(root, { state, info, chips }, act) {
  if (info && !info.documents) return void fill(root, h("div", { class: "notice", "data-kind": "empty" }, icon("file"),
    h("h2", null, "This collection is empty"), h("p", null, "Drop a file on the page to fill it."),
    h("ul", { class: "ways" }, h("li", null, h("button", { type: "button", class: "button primary", on: { click: act.open } }, "Choose a file")))));
  const way = (text, on) => h("li", null, h("button", { type: "button", class: "button", on: { click: on } }, text));
  const ways = [
    ...chips.slice(0, 3).map((c) => way(["Without ", h("b", null, c.label)], () => act.drop(c))),
    chips.length > 1 && way("Without any filter", () => act.change({ filters: {}, where: "" })),
    state.q && state.mode === "keyword" && way("Search by meaning too", () => act.change({ mode: "reranked" })),
    state.page > 1 && way("Back to the first page", () => act.change({ page: 1 })),
    state.q && way("Show everything", () => act.change({ q: "", filters: {}, where: "", like: "" })),
  ];
  fill(root, h("div", { class: "notice", "data-kind": "none" }, icon("search"),
    h("h2", null, state.page > 1 ? "There is nothing on this page" : state.q ? ["Nothing found for ", h("q", null, state.q)] : "Nothing passes these filters"),
    h("p", null, hasFilters(state) ? "A filter may be too narrow." : state.q && state.mode === "keyword" ? "No document holds these words." : "Other words may work better."),
    h("ul", { class: "ways" }, ways)));
}

/** drawNoCollections invites to import. */
export function drawNoCollections(root, openImport) {
  fill(root, h("div", { class: "notice", "data-kind": "start" }, icon("file"),
    h("h2", null, "There is no collection yet"),
    h("p", null, "Drop a JSONL, JSON or CSV file anywhere on this page. Robin finds the id, the text and the attributes by itself."),
    h("ul", { class: "ways" }, h("li", null, h("button", { type: "button", class: "button primary", on: { click: openImport } }, "Choose a file"))),
    h("p", { class: "aside" }, "Or start the server with ", h("code", null, "robin serve --demo"), " to look round in a sample catalogue.")));
}

/** drawLoading shows grey cards; only when nothing better is on the page. */
export function drawLoading(root) {
  fill(root, h("div", { class: "skeletons", "aria-hidden": "true" }, Array.from({ length: 6 }, () => h("div", { class: "skeleton" }, h("i"), h("div", null, h("i"), h("i"), h("i"))))));
}

const HEADINGS = {
  collection_not_found: "There is no such collection",
  document_not_found: "That document is gone",
  unauthorized: "This server asks for a key",
  forbidden: "This is not allowed",
  not_ready: "Robin is starting up",
  overloaded: "Robin is busy",
  damaged: "This collection is damaged",
};

/** drawError says what went wrong. act: {retry, change, key, others: the collections there are}. Gives how long to wait before asking again, in seconds, or 0. */
export function drawError(root, err, act) {
  const wait = err.offline ? 3 : err.busy ? Math.min(60, Math.max(1, err.retryAfter || 2)) : 0;
  const heading = HEADINGS[err.code] ?? (err.offline ? "Robin cannot be reached" : err.busy ? "Robin is busy" : err.status === 400 ? "The search was not understood" : "Something went wrong");
  const again = h("span", { class: "again" });
  fill(root, h("div", { class: "notice", "data-kind": "error", role: "alert" }, icon(err.offline ? "plug" : "warn"),
    h("h2", null, heading),
    h("p", null, err.message),
    err.fields?.length > 0 && h("dl", { class: "reasons" }, err.fields.map((f) => [h("dt", null, f.pointer.replace(/^\//, "") || "request"), h("dd", null, f.detail)])),
    err.status === 401 && keyForm(act.key),
    h("ul", { class: "ways" },
      h("li", null, h("button", { type: "button", class: "button", on: { click: act.retry } }, "Try again")),
      err.fields?.some((f) => f.pointer === "/filter") && h("li", null, h("button", { type: "button", class: "button", on: { click: () => act.change({ where: "", filters: {} }) } }, "Clear the filters")),
      err.fields?.some((f) => f.pointer.startsWith("/sort")) && h("li", null, h("button", { type: "button", class: "button", on: { click: () => act.change({ sort: "" }) } }, "Sort by relevance")),
      err.code === "collection_not_found" && act.others.slice(0, 4).map((name) => h("li", null, h("button", { type: "button", class: "button", on: { click: () => act.change({ collection: name, filters: {}, where: "", sort: "", like: "" }) } }, "Open ", h("b", null, name)))),
      err.code === "document_not_found" && h("li", null, h("button", { type: "button", class: "button", on: { click: () => act.change({ like: "" }) } }, "Back to the search"))),
    wait > 0 && again,
    err.requestId && h("p", { class: "aside" }, "Request ", h("code", null, err.requestId))));
  return { wait, tick: (left) => { again.textContent = left > 0 ? `Trying again in ${left} s` : "Trying again…"; } };
}

function keyForm(save) {
  const input = h("input", { class: "field", type: "password", id: "api-key", autocomplete: "off", placeholder: "API key" });
  return h("form", { class: "key-form", on: { submit: (e) => { e.preventDefault(); if (input.value) save(input.value); } } },
    h("label", { class: "vh", for: "api-key" }, "API key"), input, h("button", { class: "button primary" }, "Use"));
}
