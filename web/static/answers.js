// A person's word on pairs: the same, or not. Enough of them teach a rule of one's own.

import * as api from "./api.js";
import { fill, h, icon } from "./dom.js";
import { count, plural } from "./format.js";

const key = (a, b) => JSON.stringify(a < b ? [a, b] : [b, a]);

/** createAnswers keeps the labels of one collection. root: where the count and the learning stand. */
export function createAnswers(root, { collection, task, learnt, fail }) {
  const said = new Map();
  let state = { labels: 0, same: 0 };
  let lesson = null, busy = false, refusal = "";

  async function load() {
    const { pairs, ...rest } = await api.labels(collection);
    for (const p of pairs ?? []) said.set(key(p.a, p.b), p.same);
    state = rest;
    for (const group of document.querySelectorAll(".answers")) press(group);
    draw();
  }

  async function say(a, b, same) {
    const k = key(a, b);
    const before = said.get(k);
    said.set(k, same);
    redraw(k);
    try {
      state = await api.label(collection, [{ a, b, same }]);
      lesson = null;
      refusal = "";
      draw();
    } catch (err) {
      if (before === undefined) said.delete(k);
      else said.set(k, before);
      redraw(k);
      fail(err);
    }
  }

  function press(group) {
    const same = said.get(group.dataset.pair);
    for (const b of group.querySelectorAll("[data-same]")) b.setAttribute("aria-pressed", String(String(same) === b.dataset.same));
    group.dispatchEvent(new CustomEvent("answered", { bubbles: true }));
  }

  // A pair may stand on the page twice: in its cluster and as a sample of its band.
  function redraw(k) {
    for (const group of document.querySelectorAll(".answers")) if (group.dataset.pair === k) press(group);
  }

  /** buttons answers for one pair. keep, when given, makes b the document to keep. */
  function buttons(a, b, { keep } = {}) {
    const one = (same, name, art) => h("button", { type: "button", class: "answer", "data-same": String(same), "aria-pressed": "false", on: { click: () => say(a, b, same) } }, icon(art), h("span", null, name));
    const group = h("div", { class: "answers", "data-pair": key(a, b), role: "group", "aria-label": "Are these two the same?" },
      keep && h("button", { type: "button", class: "answer", "data-act": "keep", on: { click: () => { say(a, b, true); keep(); } } }, icon("keep"), h("span", null, "Keep", h("span", { class: "wider" }, " this one"))),
      one(true, "Same", "equal"), one(false, "Not a duplicate", "differ"));
    press(group);
    return group;
  }

  async function learn(save, precision) {
    busy = true;
    refusal = "";
    draw();
    try {
      lesson = await api.learn(collection, { task: task(), ...(precision > 0 ? { precision } : {}), ...(save ? { save } : {}) });
      lesson.precision = precision;
      if (save) learnt();
    } catch (err) {
      refusal = err.fields?.[0]?.detail ?? err.message;
    } finally {
      busy = false;
      draw();
    }
  }

  function draw() {
    fill(root, h("h2", null, "Your answers"),
      h("p", { class: "answers-count", id: "answers-count" }, h("b", null, count(state.labels)), ` ${state.labels === 1 ? "answer" : "answers"}`, state.labels > 0 && `: ${count(state.same)} the same, ${count(state.labels - state.same)} not`),
      h("p", { class: "aside", id: "learn-detail" }, state.learnable ? "Robin can learn from them what a duplicate is here." : state.detail ? `To learn a rule from them, ${state.detail}.` : "What you call not a duplicate is left alone, whatever you do with the rest."),
      "learnable" in state && form(), // a server that learns says whether it can
      lesson && lessonView(lesson));
  }

  function form() {
    const target = h("input", { class: "field", id: "learn-precision", type: "number", min: "0.5", max: "0.999", step: "any", inputmode: "decimal", placeholder: "best F1", value: lesson?.precision || root.querySelector("#learn-precision")?.value || undefined });
    return h("form", { class: "learn", on: { submit: (e) => { e.preventDefault(); learn(false, Number(target.value)); } } },
      h("label", { for: "learn-precision" }, "Precision to reach"), target,
      h("button", { class: "button", id: "learn", disabled: !state.learnable || busy }, busy ? "Learning…" : "Learn from my answers"),
      refusal && h("p", { class: "field-error", role: "alert" }, refusal));
  }

  function lessonView({ rule, report, saved, precision }) {
    const row = (name, value) => h("tr", null, h("th", { scope: "row" }, name), h("td", null, value.toFixed(3)));
    const left = state.labels - report.labels;
    return h("div", { class: "lesson", id: "lesson" },
      h("table", { class: "why-table" }, h("tbody", null, row("Precision", report.precision), row("Recall", report.recall), row("F1", report.f1))),
      h("p", { class: "aside" }, `Over ${plural(report.labels, "answer")}, each judged by a rule that had not seen it. A threshold on the cosine alone has an F1 of ${report.plain_f1.toFixed(3)}.`, report.target > 0 && (report.reached ? ` A precision of ${report.target} is reached.` : ` A precision of ${report.target} is not reached.`)),
      report.features?.length > 0 && h("p", { class: "aside" }, `It looks at ${report.features.slice(0, 4).map((f) => f.replaceAll("_", " ")).join(", ")}.`),
      left > 0 && h("p", { class: "aside" }, `${plural(left, "answer")} ${left === 1 ? "was" : "were"} left out: copies of a text, or pairs that this search did not find.`),
      saved ? h("p", { class: "lesson-saved", role: "status" }, icon("done"), "The collection uses this rule. Search again to see what it finds.")
        : h("button", { type: "button", class: "button primary", id: "learn-save", disabled: busy || !rule, on: { click: () => learn(true, precision) } }, "Use this rule"));
  }

  draw();
  return { load, buttons, said: (a, b) => said.get(key(a, b)), differ: () => state.labels - state.same };
}
