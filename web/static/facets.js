// The filter column: counts to tick, ranges to click, ends to type, and an expression for the rest.

import { fill, h, keepFocus } from "./dom.js";
import { count, label, number, plain } from "./format.js";
import { facetFields } from "./search.js";
import { hasFilters, withFilter } from "./state.js";

const FOLD = 6; // values shown before "more"
const OPEN_FIELDS = 5; // fields unfolded at first

/** createFacets draws into root and calls change({filters} | {where}) when a person filters. */
export function createFacets(root, change) {
  const unfolded = new Set(); // "collection field" whose whole list is shown
  const toggled = new Map(); // "collection field" → open, once a person has said so
  let last = null;

  function draw(view) {
    last = view;
    keepFocus(root, () => fill(root, sections(view)));
  }

  function sections({ state, types, facets, error }) {
    const dates = Object.keys(types).filter((f) => types[f] === "date").sort();
    const fields = [...facetFields(types), ...dates];
    return [
      h("div", { class: "side-head" }, h("h2", null, "Filters"),
        hasFilters(state) && h("button", { type: "button", class: "link", "data-key": "clear-all", on: { click: () => change({ filters: {}, where: "" }) } }, "Clear all")),
      fields.map((field, i) => section(field, i, state, types[field], facets?.[field], Boolean(facets))),
      expressionSection(state, error, fields.length),
    ];
  }

  function fold(key, title, openAtFirst, active, ...content) {
    const open = toggled.get(key) ?? (openAtFirst || active);
    const details = h("details", { class: "facet", open }, h("summary", { "data-key": "s " + key }, h("span", null, title), active && h("i", { class: "dot", title: "filtered" })), content);
    details.addEventListener("toggle", () => toggled.set(key, details.open));
    return details;
  }

  function section(field, i, state, type, facet, hasCounts) {
    const key = `${state.collection} ${field}`;
    const part = Object.hasOwn(state.filters, field) ? state.filters[field] : {};
    const active = Object.hasOwn(state.filters, field);
    const set = (next) => change({ filters: withFilter(state.filters, field, next) });
    // without an answer there are no counts: only what is filtered by stays, to be taken away
    const counted = facet?.values?.length > 0 || facet?.ranges?.length > 0 || typeof facet?.min === "number";
    if (!active && !counted && (type !== "date" || !hasCounts)) return null;
    const content = type === "number" ? numbers(field, part, facet, set)
      : type === "date" ? ends(field, part, "date", {}, set)
        : values(key, field, type, part, facet, set);
    return content && fold(key, label(field), i < OPEN_FIELDS, active, content);
  }

  function values(key, field, type, part, facet, set) {
    const chosen = part.values ?? [];
    const rows = (facet?.values ?? []).map((v) => ({ value: plain(v.value), count: v.count }));
    for (const v of chosen) if (!rows.some((r) => r.value === v)) rows.push({ value: v, count: 0 });
    const shown = unfolded.has(key) ? rows : rows.filter((r, i) => i < FOLD || chosen.includes(r.value));
    const row = (r) => h("li", null, h("label", { class: "tick" },
      h("input", {
        type: "checkbox", "data-key": `v ${key} ${r.value}`, "data-field": field, value: r.value, checked: chosen.includes(r.value),
        on: { change: (e) => set({ ...part, values: e.target.checked ? [...chosen, r.value] : chosen.filter((v) => v !== r.value) }) },
      }),
      h("span", { class: "tick-name", title: r.value }, type === "bool" ? (r.value === "true" ? "Yes" : "No") : r.value || "(empty)"),
      h("span", { class: "tick-count" }, count(r.count))));
    const rest = rows.length - shown.length;
    const unfold = () => { unfolded[unfolded.has(key) ? "delete" : "add"](key); draw(last); };
    return [
      h("ul", { class: "ticks" }, shown.map(row)),
      (rest > 0 || unfolded.has(key)) && h("button", { type: "button", class: "link more", "data-key": `m ${key}`, on: { click: unfold } }, rest > 0 ? `${count(rest)} more` : "Fewer"),
      unfolded.has(key) && facet?.other > 0 && h("p", { class: "facet-none" }, `and ${count(facet.other)} in rarer values`),
    ];
  }

  function numbers(field, part, facet, set) {
    const ranges = (facet?.ranges ?? []).filter((r) => r.count > 0);
    const top = Math.max(1, ...ranges.map((r) => r.count));
    const row = (r) => {
      const on = isRange(part, r);
      return h("li", null, h("button", {
        type: "button", class: "tick range", "aria-pressed": String(on), "data-key": `r ${field} ${r.from} ${r.to}`, "data-field": field, vars: { "--share": r.count / top },
        on: { click: () => set(on ? {} : { min: text(r.from), lt: text(r.to) }) },
      }, h("span", { class: "tick-name" }, rangeName(r)), h("span", { class: "tick-count" }, count(r.count))));
    };
    return [ranges.length > 1 || ranges.some((r) => isRange(part, r)) ? h("ul", { class: "ticks" }, ranges.map(row)) : null, ends(field, part, "number", facet ?? {}, set)];
  }

  function ends(field, part, type, facet, set) {
    const input = (bound, name, hint) => h("input", {
      type: type === "date" ? "date" : "text", inputmode: type === "date" ? undefined : "decimal", class: "field", "data-key": `${bound} ${field}`,
      "aria-label": `${label(field)} ${name}`, placeholder: hint === undefined || hint === null ? name : number(hint).replaceAll(",", ""), value: part[bound] ?? "",
      on: { change: (e) => commit(e.target, bound) },
    });
    const commit = (el, bound) => {
      const v = el.value.trim().replace(",", ".");
      if (v !== "" && type === "number" && !Number.isFinite(Number(v))) {
        el.setCustomValidity("A number, such as 19.90");
        el.reportValidity();
        return;
      }
      el.setCustomValidity("");
      el.value = v;
      const next = { ...part, [bound]: v === "" ? undefined : v };
      if (bound === "max") next.lt = undefined;
      set(next);
    };
    return h("form", { class: "ends", on: { submit: (e) => { e.preventDefault(); document.activeElement?.blur(); } } },
      input("min", "from", facet.min), h("span", { "aria-hidden": "true" }, "–"), input("max", "to", part.lt ?? facet.max), h("button", { class: "vh", tabindex: "-1" }, "Apply"));
  }

  function expressionSection(state, error, index) {
    const key = `${state.collection} where`;
    const submit = (e) => { e.preventDefault(); change({ where: root.querySelector("#where").value.trim() }); };
    return fold(key, "Filter expression", index === 0, state.where !== "",
      h("form", { class: "where", on: { submit } },
        h("label", { class: "vh", for: "where" }, "Filter expression"),
        h("input", { id: "where", class: "field", "data-key": "where", value: state.where, spellcheck: "false", autocapitalize: "off", autocomplete: "off", placeholder: "price < 50 AND rating >= 4", "aria-invalid": error ? "true" : undefined, "aria-describedby": error ? "where-error" : undefined, on: { change: submit } }),
        error && h("p", { id: "where-error", class: "field-error" }, error)));
  }

  return { draw, hide: () => fill(root) };
}

const text = (v) => (v === undefined || v === null ? undefined : String(v));
const isRange = (part, r) => part.max === undefined && text(r.from) === part.min && text(r.to) === part.lt && (part.min !== undefined || part.lt !== undefined);

function rangeName({ from, to }) {
  if (from === undefined || from === null) return `Under ${number(to)}`;
  if (to === undefined || to === null) return `${number(from)} and more`;
  return `${number(from)} – ${number(to)}`;
}
