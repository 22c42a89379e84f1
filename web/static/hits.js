// The list of hits: one card each, with its scores, and what unfolds beneath it.

import { fill, h, icon } from "./dom.js";
import { folded } from "./folded.js";
import { label, money, plain } from "./format.js";
import { marked, withoutMarks } from "./marks.js";
import { parts } from "./roles.js";
import { whyPanel } from "./why.js";

/** createHits draws cards into root. actions: {similar(id), document(id), explain(id) → Promise<hit and plan>}. */
export function createHits(root, actions) {
  function draw({ result, roles, from }) {
    root.setAttribute("aria-busy", "false");
    const top = Math.max(1e-9, ...result.hits.map((hit) => hit.scores?.bm25 ?? 0));
    fill(root, result.hits.map((hit, i) => card(hit, { roles, place: from + i + 1, total: result.total, topBM25: top })));
  }

  function card(hit, { roles, place, total, topBM25 }) {
    const p = parts(hit, roles);
    const titleId = `hit-title-${place}`;
    const panels = { why: h("div", { class: "panel", id: `why-${place}`, hidden: true }), details: h("div", { class: "panel", id: `details-${place}`, hidden: true }) };
    const buttons = {
      why: h("button", { type: "button", class: "link", "data-act": "why", "aria-expanded": "false", "aria-controls": `why-${place}` }, "Why", icon("chevron")),
      details: h("button", { type: "button", class: "link", "data-act": "details", "aria-expanded": "false", "aria-controls": `details-${place}` }, "Details", icon("chevron")),
    };
    const toggle = (name) => {
      const opening = panels[name].hidden;
      for (const other of ["why", "details"]) {
        panels[other].hidden = !(other === name && opening);
        buttons[other].setAttribute("aria-expanded", String(other === name && opening));
      }
      if (!opening) return;
      if (name === "details") fill(panels.details, detailsOf(hit));
      else whyPanel(panels.why, hit, actions.explain);
    };
    buttons.why.addEventListener("click", () => toggle("why"));
    buttons.details.addEventListener("click", () => toggle("details"));
    // a highlight may be a fragment of a long text; a title is shown whole or not marked
    const lit = hit.highlight?.[roles.title];
    const whole = lit && withoutMarks(lit).trim() === p.title;
    const body = roles.body && hit.highlight?.[roles.body] ? marked(hit.highlight[roles.body]) : p.body;
    return h("article", { class: "hit", tabindex: "-1", "aria-labelledby": titleId, "aria-posinset": place, "aria-setsize": total, "data-id": hit.id, "data-place": place },
      h("div", { class: "glyph", "aria-hidden": "true", vars: { "--hue": hue(p.category || p.brand || p.title) } }, initials(p.category || p.brand || p.title || hit.id)),
      h("div", { class: "hit-main" },
        h("div", { class: "hit-head" },
          h("h2", { id: titleId, dir: "auto" }, whole ? marked(lit) : p.title || hit.id),
          p.price !== null && h("span", { class: "price" }, money(p.price, p.currency))),
        h("p", { class: "meta" },
          hit.scores?.exact && h("span", { class: "exact" }, "exact match"),
          p.brand && h("span", { class: "meta-brand" }, p.brand),
          p.category && p.category !== p.brand && h("span", null, p.category),
          p.rating !== null && stars(p.rating),
          p.stock && h("span", { class: p.stock.ok ? "stock" : "stock out" }, p.stock.label),
          h("span", { class: "id", title: "id" }, hit.id)),
        body && body.length > 0 && h("p", { class: "body", dir: "auto" }, body),
        h("div", { class: "hit-foot" },
          scoreBars(hit.scores ?? {}, topBM25),
          h("div", { class: "acts" }, buttons.why, buttons.details,
            h("button", { type: "button", class: "link", "data-act": "similar", on: { click: () => actions.similar(hit.id) } }, "More like this"))),
        hit.duplicates > 0 && folded(hit, { id: `folded-${place}`, roles, document: actions.document }),
        panels.why, panels.details));
  }

  return { draw, clear: () => fill(root) };
}

// A bar's length compares within the page only: BM25 has no upper end, so the page's best is full length.
function scoreBars(scores, topBM25) {
  const bar = (kind, name, value, share, title) => typeof value === "number" && Number.isFinite(value) && h("span", { class: `score ${kind}`, title, vars: { "--v": Math.max(0, Math.min(1, share)) } },
    h("span", { class: "score-name" }, name), h("i"), h("b", null, value >= 10 ? value.toFixed(1) : value.toFixed(2)));
  return h("div", { class: "scores" },
    bar("bm25", "BM25", scores.bm25, scores.bm25 / topBM25, "keyword score; the bar compares with the best on this page"),
    bar("cosine", "cosine", scores.vector, scores.vector, "similarity of meaning, at most 1"),
    bar("rerank", "rerank", scores.rerank, scores.rerank, "the cross-encoder's judgement, 0 to 1"));
}

function stars(rating) {
  const text = rating.toFixed(1);
  return h("span", { class: "rating", role: "img", "aria-label": `rated ${text} of 5` },
    h("span", { class: "stars", vars: { "--v": rating / 5 } }, "★★★★★"), h("b", null, text));
}

/** detailsOf lists every field of the document as it is stored. */
function detailsOf(hit) {
  const doc = hit.document && typeof hit.document === "object" ? hit.document : {};
  return h("dl", { class: "fields" }, Object.entries(doc).map(([field, value]) => [
    h("dt", null, label(field)),
    h("dd", { dir: "auto" }, link(value) ?? (value !== null && typeof value === "object" && !Array.isArray(value) ? h("pre", null, JSON.stringify(value, null, 2)) : plain(value))),
  ]));
}

// Only web addresses become links; javascript: and the like stay text.
function link(value) {
  if (typeof value !== "string" || !/^https?:\/\//i.test(value) || !URL.canParse(value)) return null;
  return h("a", { href: new URL(value).href, rel: "noopener noreferrer nofollow", target: "_blank" }, value);
}

function hue(text) {
  let n = 7;
  for (const c of text) n = (n * 31 + c.codePointAt(0)) % 3600;
  return n % 360;
}

function initials(text) {
  const words = text.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const first = (w) => (w ? String.fromCodePoint(w.codePointAt(0)).toUpperCase() : "");
  return first(words[0]) + first(words[1]) || "·";
}
