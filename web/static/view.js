// Everything that is drawn from one answer, or from the lack of one.

import { byId, fill, h, icon } from "./dom.js";
import { chips } from "./filters.js";
import { plain, plural } from "./format.js";
import { drawError, drawHero, drawLoading, drawNoCollections, drawNoHits } from "./notice.js";
import { drawPager } from "./pager.js";
import { PAGE_SIZE } from "./search.js";
import { countLine, drawBanner, drawModels, drawStrip } from "./strip.js";

const SLOW_MS = 180; // a wait shorter than this shows nothing, so that quick answers do not flicker
const ANNOUNCE_MS = 700; // a screen reader hears the count once typing rests

/** createView draws into the page. act: {change(patch), ask(q), open(), retry(), key(value)}. */
export function createView({ facets, hits, drawer, act }) {
  const el = Object.fromEntries(["banner", "hero", "bar", "count", "strip", "chips", "notice", "hits", "pager", "models", "live", "drawer-count", "search-form"].map((id) => [id, byId(id)]));
  let slow = 0, announce = 0, countdown = 0;
  let shown = false; // an answer is on the page, and stays until the next one

  function settle() {
    clearTimeout(slow);
    clearInterval(countdown);
    el["search-form"].classList.remove("is-busy");
    el.hits.setAttribute("aria-busy", "false");
  }

  function say(text) {
    clearTimeout(announce);
    announce = setTimeout(() => { el.live.textContent = text; }, ANNOUNCE_MS);
  }

  function start() {
    clearTimeout(slow);
    clearInterval(countdown);
    el.hits.setAttribute("aria-busy", "true");
    slow = setTimeout(() => {
      el["search-form"].classList.add("is-busy");
      if (!shown) { fill(el.hero); drawLoading(el.notice); }
    }, SLOW_MS);
  }

  function drawChips(state, types) {
    const list = chips(state, types);
    const drop = (c) => act.change(c.where ? { where: "" } : { filters: c.filters });
    for (const c of list) if (c.left) c.filters = act.without(state, c.left);
    fill(el.chips, list.map((c) => h("button", { type: "button", class: "chip", "aria-label": `Remove the filter ${c.label}`, on: { click: () => drop(c) } }, h("span", null, c.label), icon("close"))),
      list.length > 1 && h("button", { type: "button", class: "link", on: { click: () => act.change({ filters: {}, where: "" }) } }, "Clear all"));
    el["drawer-count"].hidden = list.length === 0;
    el["drawer-count"].textContent = String(list.length);
    return { list, drop };
  }

  function result(result, { state, info, types, roles }) {
    settle();
    shown = true;
    const from = (state.page - 1) * PAGE_SIZE;
    const { list, drop } = drawChips(state, types);
    el.bar.hidden = false;
    fill(el.count, countLine(result, state, from));
    el.count.title = result.total_is === "candidates" ? "Documents that hold your words, and the nearest in meaning, together" : "";
    drawStrip(el.strip, result, state.like || !state.q ? "" : state.mode);
    byId("sort").hidden = Boolean(state.like);
    drawBanner(el.banner, result, info);
    drawModels(el.models, { ...info?.models, ...result.models }, act.version());
    drawHero(el.hero, { state, info, roles }, act.ask);
    if (result.source) fill(el.hero, sourceLine(result.source, state, roles));
    facets.draw({ state, types, facets: result.facets });
    drawer.label(`Show ${plural(result.total, "result")}`);
    fill(el.notice);
    if (result.hits.length === 0) drawNoHits(el.notice, { state, info, chips: list }, { drop, change: act.change, open: act.open });
    hits.draw({ result, roles, from });
    drawPager(el.pager, state.page, state.like ? 0 : result.total, (page) => act.change({ page }));
    say(el.count.textContent);
  }

  function sourceLine(source, state, roles) {
    const title = plain(source?.[roles.title]) || state.like;
    return h("div", { class: "like" }, icon("near"), h("p", null, "More like ", h("b", { dir: "auto" }, title)),
      h("button", { type: "button", class: "button", on: { click: () => act.change({ like: "" }) } }, "Back to the search"));
  }

  function error(err, { state, info, types, list }) {
    settle();
    shown = false;
    drawChips(state, types);
    const wrongFilter = err.fields?.find((f) => f.pointer === "/filter")?.detail;
    facets.draw({ state, types, facets: null, error: wrongFilter });
    clear();
    drawBanner(el.banner, null, info);
    const { wait, tick } = drawError(el.notice, err, { ...act, others: list.map((c) => c.name) });
    if (wait > 0) {
      let left = Math.ceil(wait);
      tick(left);
      countdown = setInterval(() => {
        tick(--left);
        if (left <= 0) { clearInterval(countdown); act.retry(); }
      }, 1000);
    }
  }

  function clear() {
    el.bar.hidden = true;
    for (const id of ["hero", "strip", "pager", "banner"]) fill(el[id]);
    hits.clear();
  }

  function noCollections() {
    settle();
    shown = false;
    clear();
    facets.hide();
    fill(el.chips);
    drawModels(el.models, null, act.version());
    drawNoCollections(el.notice, act.open);
  }

  return { start, result, error, noCollections, forget: () => { shown = false; } };
}
