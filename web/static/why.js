// The "why" of one hit: what each stage gave it, in numbers that add up.

import { fill, h } from "./dom.js";
import { label, number, plain } from "./format.js";

/** whyPanel fills panel; the search is asked again with explain, once, when the panel is first opened. */
export async function whyPanel(panel, hit, explain) {
  if (panel.dataset.state === "done" || panel.dataset.state === "asked") return;
  panel.dataset.state = "asked";
  fill(panel, stages(hit), h("p", { class: "why-wait" }, "Asking for the formula…"));
  try {
    const { hit: full, plan, formula } = await explain(hit.id);
    panel.dataset.state = "done";
    fill(panel, content(full ?? hit, plan, formula));
  } catch (err) {
    panel.dataset.state = "";
    fill(panel, stages(hit), h("p", { class: "field-error" }, `The explanation did not come: ${err.message}`));
  }
}

function content(hit, plan, note) {
  const e = hit.explain ?? {};
  return [
    e.summary && h("p", { class: "why-summary" }, e.summary),
    hit.passage?.of > 1 && h("div", { class: "why-part" }, h("h3", null, `Nearest passage, ${number(hit.passage.number)} of ${number(hit.passage.of)}`), h("p", { class: "why-passage" }, hit.passage.text)),
    h("div", { class: "why-cols" }, h("div", null, stages(hit)), h("div", null,
      e.fusion && h("div", { class: "why-part" }, h("h3", null, "Fusion"), h("code", { class: "formula" }, e.fusion)),
      e.fields?.length > 0 && fieldShares(e.fields),
      e.terms?.length > 0 && h("div", { class: "why-part" }, h("h3", null, "Matched terms"), h("p", { class: "terms" }, e.terms.map((t) => h("code", null, t)))))),
    e.bm25 && h("details", { class: "why-part tree" }, h("summary", null, "BM25 in full"), h("pre", null, JSON.stringify(e.bm25, null, 2))),
    plan && h("details", { class: "why-part tree" }, h("summary", null, "How the search ran"), planList(plan)),
    note && h("p", { class: "why-wait" }, note),
  ];
}

function stages(hit) {
  const s = hit.scores ?? {};
  const ranks = s.ranks ?? {};
  const rows = [
    ["Keywords", "BM25", s.bm25, ranks.bm25],
    ["Meaning", "cosine", s.vector, ranks.vector],
    ["Fused", "both lists", s.fused, ranks.fused],
    ["Rerank", "cross-encoder", s.rerank, undefined],
  ];
  const cell = (v, digits) => (typeof v === "number" ? v.toFixed(digits) : "–");
  return h("table", { class: "why-table" },
    h("caption", { class: "vh" }, "Scores and places by stage"),
    h("thead", null, h("tr", null, ["Stage", "Score", "Place"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", null, rows.map(([name, how, value, rank]) => h("tr", { class: typeof value === "number" ? "" : "absent" },
      h("th", { scope: "row" }, name, " ", h("small", null, how)), h("td", null, cell(value, how === "both lists" ? 4 : 3)), h("td", null, typeof rank === "number" ? `${number(rank)}.` : "–")))));
}

function fieldShares(fields) {
  const top = Math.max(1e-9, ...fields.map((f) => f.score));
  return h("div", { class: "why-part" }, h("h3", null, "BM25 by field"),
    h("ul", { class: "shares" }, fields.map((f) => h("li", { vars: { "--v": Math.max(0, f.score / top) } }, h("span", null, label(f.field)), h("i"), h("b", null, f.score.toFixed(3))))));
}

function planList(plan) {
  return h("dl", { class: "fields" }, Object.entries(plan).map(([k, v]) => [h("dt", null, label(k)), h("dd", null, plain(v))]));
}
