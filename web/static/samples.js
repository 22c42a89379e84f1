// Pairs of one band of the histogram, to look at and to answer.

import { fill, h, icon } from "./dom.js";
import { evidence } from "./clusters.js";
import { compareView } from "./compare.js";
import { count, plain, plural } from "./format.js";

const REST_MS = 120; // a pointer that crosses a band does not ask for its documents

/** createSamples draws into root. */
export function createSamples(root, { answers }) {
  let timer = 0, turn = 0;

  /** draw shows a band once the pointer rests on it. */
  function draw(band, context) {
    clearTimeout(timer);
    timer = setTimeout(() => show(band, context), REST_MS);
  }

  function show(band, { get, roles, texts }) {
    const mine = ++turn;
    const samples = band.samples ?? [];
    const title = (id) => {
      const el = h("span", { class: "sample-title", dir: "auto" }, id);
      get(id).then((doc) => { if (mine === turn) el.textContent = (doc && plain(doc[roles.title]).trim()) || id; }, () => {});
      return el;
    };
    fill(root, h("h2", null, `Cosine ${band.from.toFixed(2)} to ${band.to.toFixed(2)}`, h("small", null, `${plural(band.pairs, "pair")}, ${band.same === 1 ? "1 counts as a duplicate" : `${count(band.same)} count as duplicates`}`)),
      samples.length === 0 ? h("p", { class: "aside" }, "No pairs to show here.") : h("ul", { class: "samples" }, samples.map((p, i) => {
        const panel = h("div", { class: "panel compare", id: `sample-${i}`, hidden: true });
        const toggle = h("button", { type: "button", class: "link", "data-act": "compare", "aria-expanded": "false", "aria-controls": `sample-${i}`, on: { click: () => {
          panel.hidden = !panel.hidden;
          toggle.setAttribute("aria-expanded", String(!panel.hidden));
          if (!panel.hidden) compareView(panel, { a: p.a, b: p.b, get, texts, names: ["the first", "the second"] });
        } } }, "Compare", icon("chevron"));
        return h("li", { class: p.same ? "sample same" : "sample" },
          h("div", { class: "sample-pair" }, title(p.a), title(p.b), h("p", { class: "meta" }, h("span", { class: "verdict" }, p.same ? "duplicate" : "not a duplicate"), evidence(p))),
          h("div", { class: "member-acts" }, answers.buttons(p.a, p.b), toggle), panel);
      })));
  }

  return { draw, clear: () => { clearTimeout(timer); turn++; fill(root); } };
}
