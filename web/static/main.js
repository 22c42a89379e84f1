// The page: state in, requests out, answers drawn.

import * as api from "./api.js";
import * as keyboard from "./keyboard.js";
import * as state from "./state.js";
import { command, copy } from "./curl.js";
import { byId } from "./dom.js";
import { createDrawer } from "./drawer.js";
import { watch } from "./dropzone.js";
import { createDuplicates } from "./duplicates.js";
import { createFacets } from "./facets.js";
import { createHits } from "./hits.js";
import { createImporter } from "./importer.js";
import { DEMO } from "./notice.js";
import { choose, drawPicker, drawSort } from "./picker.js";
import { rolesOf } from "./roles.js";
import { createSearch, requestFor, similarFor } from "./search.js";
import { createView } from "./view.js";

const TYPING_MS = 120; // a pause in typing that is worth a search
const TOAST_MS = 2500, READING_MS = 60; // at least, and for each letter
const SEARCH = { view: "", report: "", threshold: "", keep: "" }; // the way back from duplicates
const GROWTH_MS = 1500; // how often a collection that still grows is looked at

const fold = byId("fold"), twins = byId("duplicates-open");
const q = byId("q"), clear = byId("clear"), picker = byId("collection"), sort = byId("sort"), modes = byId("modes");
const page = { list: [], info: null, types: {}, roles: rolesOf(null), version: "" };
let typing = 0, growth = 0;
let explained = null; // {key, answer}: one explained search serves all hits of a page

const facets = createFacets(byId("facets"), change);
const hits = createHits(byId("hits"), { similar: (id) => change({ like: id }), explain, document: (id) => api.document_(state.get().collection, id) });
const view = createView({
  facets, hits, drawer: createDrawer(),
  act: {
    change,
    ask: (text) => { change({ q: text }); q.focus(); },
    without: (s, { field, part }) => state.withFilter(s.filters, field, part),
    open: () => importer.open(),
    retry: load,
    key: (key) => { api.setKey(key); load(); },
    version: () => page.version,
  },
});
const run = createSearch({
  onStart: view.start,
  onResult: (result, s) => { explained = null; view.result(result, { state: s, ...page }); },
  onError: (err, s) => view.error(err, { state: s, ...page }),
});
const duplicates = createDuplicates(byId("duplicates"), { page: () => page, act: { toast, change, key: (key) => { api.setKey(key); load(); } } });
const importer = createImporter(byId("importer"), { names: () => page.list.map((c) => c.name), done: imported });

function change(patch, how) {
  clearTimeout(typing);
  state.set(patch, how);
}

state.subscribe((now, before, how) => {
  draw(now, how);
  if (!now.collection) {
    load();
    return;
  }
  if (now.collection !== before.collection) {
    view.forget();
    openCollection();
    return;
  }
  if (now.view !== before.view) return void (now.view ? duplicates.enter(now) : enterSearch());
  if (now.view) return void duplicates.move(now, before);
  if (now.page !== before.page || now.like !== before.like) scrollTo({ top: 0 });
  if (how === "typing") {
    clearTimeout(typing);
    typing = setTimeout(search, TYPING_MS);
  } else {
    search();
  }
});

/** draw puts the state into the controls. */
function draw(s, how) {
  if (how !== "typing" && q.value !== s.q) q.value = s.q;
  clear.hidden = q.value === "";
  for (const radio of modes.querySelectorAll("input")) radio.checked = radio.value === s.mode;
  drawPicker(picker, page.list, s.collection);
  drawSort(sort, page.types, page.roles, s.sort);
  fold.checked = s.fold;
  document.title = s.view ? `Duplicates in ${s.collection} · Robin` : s.q ? `${s.q} · Robin` : "Robin";
  show(s.view);
}

/** show puts a view on the page. */
function show(name) {
  document.body.dataset.view = name;
  byId("page").hidden = name !== "";
  byId("duplicates").hidden = name === "";
  twins.setAttribute("aria-pressed", String(name !== ""));
}

function enterSearch() {
  duplicates.leave();
  scrollTo({ top: 0 });
  search();
}

function search() {
  const s = state.get();
  if (!s.collection || s.view) return;
  run(s, page.types);
}

/** load asks what collections there are, and opens the one of the address. */
async function load() {
  view.start();
  try {
    page.list = await api.collections();
    if (!page.version) page.version = String((await api.version().catch(() => null))?.version ?? "");
  } catch (err) {
    show("");
    view.error(err, { state: state.get(), ...page });
    return;
  }
  if (!state.get().collection) {
    const name = choose(page.list, DEMO);
    if (!name) {
      draw(state.get());
      view.noCollections();
      watchGrowth();
      return;
    }
    state.set({ collection: name, page: state.get().page }, "replace"); // opens it
  } else {
    await openCollection();
  }
  watchGrowth();
}

/** watchGrowth looks again while the collection is empty or grows, as the demo does while it is indexed. */
function watchGrowth() {
  clearTimeout(growth);
  growth = setTimeout(async () => {
    const name = state.get().collection;
    const before = page.info?.documents ?? 0;
    const list = await api.collections().catch(() => null);
    if (!list || state.get().collection !== name) return;
    page.list = list;
    if (!name) return void (list.length > 0 ? load() : watchGrowth());
    const info = list.find((c) => c.name === name);
    if (!info || info.documents === before) return void (before === 0 && watchGrowth());
    setInfo(info.settings ? info : { ...page.info, ...info });
    if (!state.get().q) search();
    watchGrowth();
  }, GROWTH_MS);
}

/** openCollection learns the fields of the state's collection, then searches. */
async function openCollection() {
  const name = state.get().collection;
  let info = page.list.find((c) => c.name === name && c.settings) ?? null;
  try {
    info ??= await api.collection(name);
  } catch (err) {
    if (state.get().collection !== name) return;
    setInfo(null);
    show("");
    view.error(err, { state: state.get(), ...page });
    return;
  }
  if (state.get().collection !== name) return;
  setInfo(info);
  if (state.get().view) duplicates.enter(state.get());
  else search();
}

function setInfo(info) {
  page.info = info;
  page.types = info?.settings?.attributes ?? {};
  page.roles = rolesOf(info?.settings);
  draw(state.get());
}

/** imported follows an import: the list is new, and the collection is the one to look at. */
async function imported(name, some) {
  page.list = await api.collections().catch(() => page.list);
  if (!some) return void draw(state.get());
  if (name === state.get().collection) {
    await openCollection();
    return;
  }
  change({ collection: name, q: "", filters: {}, where: "", sort: "", like: "", ...SEARCH });
}

/** explain gives one hit of the page with its explanation. */
async function explain(id) {
  const s = state.get();
  if (s.like) return { hit: null, formula: "Found by nearness of meaning to the document above; no words were compared." };
  const body = { ...requestFor(s, page.types), explain: true };
  delete body.facets;
  const key = JSON.stringify([s.collection, body]);
  if (explained?.key !== key) explained = { key, answer: api.search(s.collection, body) };
  try {
    const answer = await explained.answer;
    return { hit: answer.hits?.find((x) => x.id === id), plan: answer.plan };
  } catch (err) {
    explained = null;
    throw err;
  }
}

function toast(text) {
  const box = byId("toast");
  box.textContent = text;
  box.hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { box.hidden = true; }, Math.max(TOAST_MS, READING_MS * text.length));
}

q.addEventListener("input", () => change({ q: q.value, like: "" }, "typing"));
byId("search-form").addEventListener("submit", (e) => {
  e.preventDefault();
  clearTimeout(typing);
  if (q.value !== state.get().q) change({ q: q.value, like: "" });
  else search();
});
const empty = () => { change({ q: "", like: "" }); q.focus(); };
clear.addEventListener("click", empty);
modes.addEventListener("change", (e) => change({ mode: e.target.value, like: "" }));
sort.addEventListener("change", () => change({ sort: sort.value, like: "" }));
picker.addEventListener("change", () => change({ collection: picker.value, filters: {}, where: "", sort: "", like: "", report: "", threshold: "", keep: "" }));
byId("home").addEventListener("click", (e) => {
  if (e.ctrlKey || e.metaKey || e.shiftKey) return;
  e.preventDefault();
  change({ q: "", filters: {}, where: "", sort: "", like: "", ...SEARCH });
  q.focus();
});
byId("curl").addEventListener("click", async () => {
  const s = state.get();
  const text = s.like ? command(api.path("collections", s.collection, "similar"), similarFor(s, page.types))
    : command(api.path("collections", s.collection, "search"), requestFor(s, page.types));
  toast((await copy(text)) ? "Copied as curl" : "The browser did not allow copying");
});
fold.addEventListener("change", () => change({ fold: fold.checked }));
twins.addEventListener("click", () => change(state.get().view ? SEARCH : { ...SEARCH, view: state.DUPLICATES }));
byId("import-open").addEventListener("click", () => importer.open());
watch(byId("drop"), (file) => { if (!importer.busy()) importer.open(file); });
keyboard.listen({ q, hits: byId("hits"), clear: empty, search: () => { if (state.get().view) change(SEARCH); } });

draw(state.get());
if (matchMedia("(pointer: fine)").matches) q.focus(); // on a phone the keyboard would hide the page
load();
