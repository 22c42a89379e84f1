// The view of duplicates: look for them, choose the threshold, go through the clusters, act, and take it back.

import * as api from "./api.js";
import * as state from "./state.js";
import { createActions } from "./actions.js";
import { createAnswers } from "./answers.js";
import { createClusters } from "./clusters.js";
import { byId, fill, h, icon } from "./dom.js";
import { createDocuments } from "./documents.js";
import { createFinder, keepSelect } from "./finder.js";
import { count, ms, plural } from "./format.js";
import { drawError } from "./notice.js";
import { drawPager } from "./pager.js";
import { createSamples } from "./samples.js";
import { save } from "./save.js";
import { createThreshold } from "./threshold.js";

export const PAGE = 20; // clusters
const DRAG_MS = 90; // a pause in dragging that is worth a cut

/** createDuplicates draws into root. page gives {info, roles, types, list}; act: {toast(text), change(patch, how), key(value)}. */
export function createDuplicates(root, { page, act }) {
  let here = null; // the collection that is shown, with its parts
  let cutting = null, timer = 0;

  const query = (s) => ({ ...(s.threshold ? { threshold: s.threshold } : {}), ...(s.keep ? { keep: s.keep } : {}) });

  // fail tells of an error. One that tells what the key may not do stays: whoever reads on would only meet it again.
  function fail(err) {
    if (api.aborted(err)) return;
    const words = err.fields?.[0]?.detail ?? err.message;
    if (err.status !== 401 && err.status !== 403) return void act.toast(words);
    fill(here.refused, h("p", { class: "banner bad", role: "alert" }, `Nothing was changed: ${words}. Looking, comparing and downloading still work.`.replace(/\.\./, ".")));
    here.refused.scrollIntoView({ block: "nearest" });
  }

  /** enter shows the view for a state; info of its collection is known. */
  async function enter(s) {
    if (here?.name !== s.collection) begin(s.collection);
    const mine = here;
    if (s.report) return void cut(s, true);
    mine.report = null;
    fill(mine.body, mine.finder.node);
    mine.finder.wait();
    try {
      const [reports, running] = await Promise.all([api.duplicateReports(mine.name), api.tasks({ collection: mine.name, status: "processing" })]);
      if (here !== mine || state.get().report || state.get().view !== state.DUPLICATES) return;
      const task = running.find((t) => t.kind === "duplicates");
      mine.finder.offer({ reports, types: page().types, documents: page().info?.documents ?? 0 });
      if (task) mine.finder.watch(task.id);
    } catch (err) {
      if (here === mine) wrong(err);
    }
  }

  function begin(name) {
    const parts = Object.fromEntries(["top", "samples", "clusters", "answers", "actions", "pager"].map((id) => [id, h("div", { class: `dup-${id}` })]));
    const get = createDocuments(name);
    const answers = createAnswers(parts.answers, { collection: name, task: () => state.get().report, fail, learnt: () => act.toast("The rule is saved with the collection") });
    const samples = createSamples(parts.samples, { answers });
    const threshold = createThreshold({ moved: (v) => act.change({ threshold: String(v) }, "replace"), band: (b) => samples.draw(b, context()) });
    const actions = createActions(parts.actions, byId("confirm"), { collection: name, toast: act.toast, fail, changed: acted });
    const clusters = createClusters(parts.clusters, { answers, act: { apply: (action, c) => ask(action, c), keeper, done } });
    const finder = createFinder({
      start: (body) => api.findDuplicates(name, body),
      found: (task) => act.change({ report: task, threshold: "", keep: "" }), open: (task) => act.change({ report: task }), fail,
    });
    const head = h("div", { class: "dup-head" });
    const body = h("div", { class: "dup-body" }), refused = h("div", { class: "dup-refused" });
    const layout = h("div", { class: "dup-layout" }, h("section", { "aria-label": "Clusters" }, parts.clusters, parts.pager), h("aside", { "aria-label": "Answers and actions" }, parts.answers, parts.actions));
    here = { name, parts, get, answers, samples, threshold, actions, clusters, finder, head, body, refused, layout, report: null, drawn: "", acts: new Map(), keepers: new Map() };
    fill(root, head, refused, body);
    drawHead();
  }

  const context = () => ({ get: here.get, roles: page().roles, texts: (page().info?.settings?.text ?? []).map((t) => t.field) });

  function drawHead() {
    const r = here.report;
    fill(here.head, h("div", null, h("h1", null, "Duplicates in ", h("b", { dir: "auto" }, here.name)),
      h("p", { class: "aside" }, r ? `${plural(r.documents, "document")} compared in ${r.took_ms >= 1000 ? `${(r.took_ms / 1000).toFixed(1)} s` : `${ms(r.took_ms)} ms`}${r.exact > 0 ? `, ${plural(r.exact, "exact copy", "exact copies")}` : ""}${r.crossed > 0 ? `, ${plural(r.crossed, "pair")} read by the cross-encoder` : ""}${r.embedded < r.documents ? `. ${r.embedded === 0 ? "None of them has a vector" : `${plural(r.documents - r.embedded, "document has", "documents have")} no vector`}: of those only copies of a text are found.` : ""}` : "Documents that say the same in other words.")),
      h("div", { class: "dup-nav" },
        r && h("button", { type: "button", class: "button", id: "dup-again", on: { click: () => act.change({ report: "", threshold: "", keep: "" }) } }, "Search again"),
        h("button", { type: "button", class: "button quiet", id: "dup-back", on: { click: () => act.change({ view: "", report: "", threshold: "", keep: "" }) } }, icon("left"), "Back to the search")));
  }

  /** cut asks for the report at the state's threshold. While the line is dragged only the last move counts. */
  function cut(s, now) {
    clearTimeout(timer);
    timer = setTimeout(() => fetchCut(s), now ? 0 : DRAG_MS);
  }

  async function fetchCut(s) {
    const mine = here;
    cutting?.abort();
    const own = (cutting = new AbortController());
    root.setAttribute("aria-busy", "true");
    try {
      const report = await api.cutDuplicates(mine.name, s.report, { ...query(s), offset: (s.page - 1) * PAGE, limit: PAGE }, { signal: own.signal });
      if (here === mine && cutting === own) draw(report, s);
    } catch (err) {
      if (here === mine && cutting === own && !api.aborted(err)) wrong(err);
    } finally {
      if (cutting === own) root.setAttribute("aria-busy", "false");
    }
  }

  const learnt = (report) => Object.keys(report.rule?.weights ?? {}).length > 0;

  function draw(report, s) {
    const fresh = here.drawn !== s.report || !here.layout.isConnected;
    here.report = report;
    if (fresh) {
      here.drawn = s.report;
      here.acts.clear();
      here.keepers.clear();
      drawHead();
      fill(here.body, here.parts.top, here.layout);
      drawTop(report, s);
      Promise.all([here.answers.load(), here.actions.load()]).catch(fail);
    }
    here.keep.value = s.keep || report.keep;
    drawFigures(report);
    here.threshold.draw(report, learnt(report));
    here.threshold.tell(report);
    drawClusters(report, s);
  }

  function drawTop(report, s) {
    here.figures = h("div", { class: "figures" });
    here.keep = keepSelect(page().types, s.keep || report.keep);
    here.keep.addEventListener("change", () => act.change({ keep: here.keep.value }));
    const all = (action) => h("button", { type: "button", class: action === "delete" ? "button danger" : "button", "data-all": action, on: { click: () => ask(action, null) } }, { flag: "Flag all", link: "Link all", delete: "Delete all" }[action]);
    const download = (format, name) => h("button", { type: "button", class: "link", "data-format": format, on: { click: () => get(format) } }, icon("download"), name);
    fill(here.parts.top,
      h("section", { class: "card", "aria-label": "Threshold" }, here.figures, here.threshold.node, here.parts.samples),
      h("div", { class: "dup-tools" },
        h("div", { class: "dup-keep" }, h("label", { for: here.keep.id }, "Keep"), here.keep),
        h("div", { class: "dup-all" }, ["flag", "link", "delete"].map(all)),
        h("div", { class: "dup-files" }, download("jsonl", "JSONL"), download("csv", "CSV"))));
  }

  function drawFigures(r) {
    const figure = (id, n, one, many) => h("div", null, h("b", { id }, count(n)), h("span", null, n === 1 ? one : many));
    fill(here.figures,
      h("div", { class: "at" }, h("b", { id: "dup-threshold" }, r.threshold.toFixed(3).replace(/0$/, "")), h("span", null, learnt(r) ? "least probability" : "cosine at the line")),
      figure("dup-pairs", r.same, r.exact > 0 ? "near pair" : "pair", r.exact > 0 ? "near pairs" : "pairs"), figure("dup-duplicates", r.duplicates, "duplicate", "duplicates"), figure("dup-clusters", r.total, "cluster", "clusters"));
    for (const b of here.parts.top.querySelectorAll("[data-all]")) b.disabled = r.duplicates === 0;
  }

  function drawClusters(r, s) {
    const list = r.clusters ?? [];
    const kept = list.map((c) => (here.keepers.has(c.kept) ? swapped(c, here.keepers.get(c.kept)) : c));
    if (list.length > 0) here.clusters.draw(kept, context());
    else {
      fill(here.parts.clusters, h("div", { class: "notice", "data-kind": "none" }, icon("done"),
        h("h2", null, r.total > 0 ? "There is nothing on this page" : "No duplicates at this threshold"),
        h("p", null, r.total > 0 ? "It has fewer clusters now." : "Move the line to the left to see pairs that are less alike."),
        r.total > 0 && h("ul", { class: "ways" }, h("li", null, h("button", { type: "button", class: "button", on: { click: () => act.change({ page: 1 }) } }, "Back to the first page")))));
    }
    drawPager(here.parts.pager, s.page, r.total, (to) => act.change({ page: to }), PAGE);
  }

  // swapped makes another document of a cluster the kept one; the cosines of the others stay those to the first.
  function swapped(c, id) {
    const m = c.members.find((x) => x.id === id);
    if (!m) return c;
    return { ...c, as: c.kept, kept: m.id, title: m.title, why: "your choice", members: [{ ...m, id: c.kept, title: c.title }, ...c.members.filter((x) => x !== m)] };
  }

  function keeper(c, m) {
    const first = c.as ?? c.kept;
    if (m.id === first) here.keepers.delete(first);
    else here.keepers.set(first, m.id);
    drawClusters(here.report, state.get());
    const card = here.parts.clusters.querySelector(`[data-kept="${CSS.escape(m.id)}"]`);
    card?.scrollIntoView({ block: "nearest" });
    card?.querySelector('[data-act="keep"]')?.focus({ preventScroll: true });
  }

  /** ask asks whether to act on one cluster, or on all when none is given. */
  function ask(action, c) {
    const s = state.get();
    const r = here.report;
    const no = c ? c.members.filter((m) => here.answers.said(c.kept, m.id) === false).length : 0;
    const duplicates = c ? c.members.length - no : r.duplicates;
    if (duplicates === 0) return void act.toast("You said that none of them is a duplicate");
    const left = c ? no > 0 && `${plural(no, "document")} that you called not a duplicate ${no === 1 ? "is" : "are"} left out.` : here.answers.differ() > 0 && "Those that you called not a duplicate are left out.";
    const prefer = c ? (c.as ? [c.kept] : []) : [...here.keepers.values()];
    here.actions.ask(action, { duplicates, clusters: c ? 1 : r.total, left }, () => here.actions.apply(s.report, {
      action, threshold: r.threshold, ...(s.keep ? { keep: s.keep } : {}), ...(c ? { clusters: [c.as ?? c.kept] } : {}), ...(prefer.length ? { prefer } : {}),
    }));
  }

  // acted remembers what was done with which clusters, and forgets it when it is taken back (body is null then).
  function acted(id, body) {
    if (body) here.acts.set(id, body);
    else here.acts.delete(id);
    here.get = createDocuments(here.name);
    if (!here.report) return;
    const at = document.activeElement.closest(".cluster")?.dataset.kept;
    drawClusters(here.report, state.get());
    if (at !== undefined && document.activeElement === document.body) here.parts.clusters.querySelector(`[data-kept="${CSS.escape(at)}"] [data-act="flag"]`)?.focus({ preventScroll: true });
  }

  function done(c) {
    const [id, last] = [...here.acts].filter(([, b]) => !b.clusters || b.clusters.includes(c.as ?? c.kept)).at(-1) ?? [];
    return last && { word: { flag: "flagged", link: "linked", delete: "deleted" }[last.action], undo: last.clusters && (() => here.actions.undo({ id, action: last.action })) };
  }

  async function get(format) {
    try {
      const { blob, name } = await api.duplicatesFile(here.name, state.get().report, { ...query(state.get()), format });
      save(blob, name || `${here.name}-duplicates.${format}`);
    } catch (err) {
      fail(err);
    }
  }

  function wrong(err) {
    here.layout.remove();
    const box = h("div");
    fill(here.body, box);
    drawError(box, err, { retry: () => enter(state.get()), key: act.key, change: act.change, others: page().list.map((c) => c.name) });
    if (err.status === 404 && state.get().report) box.querySelector(".ways")?.append(h("li", null, h("button", { type: "button", class: "button primary", on: { click: () => act.change({ report: "", threshold: "" }, "replace") } }, "Search again")));
  }

  /** move follows a state within the view: another threshold, keep rule or page of the same report. */
  function move(s, before) {
    if (s.collection !== here?.name || s.report !== before.report || !here.report) return void enter(s);
    if (s.threshold !== before.threshold || s.keep !== before.keep) here.keepers.clear(); // the clusters are others now
    cut(s, s.threshold === before.threshold);
    if (s.page !== before.page) here.parts.clusters.scrollIntoView({ block: "start" });
  }

  return { enter, move, leave: () => { clearTimeout(timer); cutting?.abort(); here?.samples.clear(); } };
}
