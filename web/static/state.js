// What the page shows, kept in the address so that a link can be shared and the back button works.
//
//   ?c=demo&q=tent&mode=keyword&sort=price:asc&page=2&f.brand=Acme&min.price=10&max.price=50&lt.price=50&where=…&like=ID
//
// min and max are inclusive, lt is not (the automatic ranges are from ≤ value < to). where is a filter expression.
// fold=1 folds duplicates. ?view=duplicates&c=demo&report=TASK&threshold=0.93&keep=newest:added&page=2 is the other view.

export const MODES = ["keyword", "semantic", "hybrid", "reranked"];
export const DEFAULT_MODE = "reranked";
export const DUPLICATES = "duplicates"; // the view that is not the search
const BOUNDS = ["min", "max", "lt"];
const TYPING_PAUSE_MS = 1500; // keystrokes closer than this are one step for the back button

const blank = () => ({ collection: "", q: "", mode: DEFAULT_MODE, filters: {}, where: "", sort: "", page: 1, like: "", fold: false, view: "", report: "", threshold: "", keep: "" });

/** parse reads an address. Whatever it does not know, it leaves out. */
export function parse(query) {
  const s = blank();
  for (const [name, value] of new URLSearchParams(query)) {
    const dot = name.indexOf(".");
    const kind = dot < 0 ? "" : name.slice(0, dot);
    const field = name.slice(dot + 1);
    if (kind === "f" && field) {
      (filterOf(s, field).values ??= []).push(value);
    } else if (BOUNDS.includes(kind) && field) {
      if (value !== "") filterOf(s, field)[kind] = value;
    } else if (name === "c") {
      s.collection = value;
    } else if (name === "q" || name === "sort" || name === "where" || name === "like") {
      s[name] = value;
    } else if (name === "fold") {
      s.fold = value === "1";
    } else if (name === "view" && value === DUPLICATES) {
      s.view = value;
    } else if (name === "report" || name === "keep") {
      s[name] = value;
    } else if (name === "threshold" && /^(0\.\d{1,4}|1)$/.test(value)) {
      s.threshold = value;
    } else if (name === "mode" && MODES.includes(value)) {
      s.mode = value;
    } else if (name === "page" && /^[1-9]\d{0,4}$/.test(value)) {
      s.page = Number(value);
    }
  }
  return s;
}

function filterOf(s, field) {
  if (!Object.hasOwn(s.filters, field)) {
    // defineProperty, because a field may be called __proto__
    Object.defineProperty(s.filters, field, { value: {}, enumerable: true, configurable: true, writable: true });
  }
  return s.filters[field];
}

/** format is parse's inverse; what has its default value is left out. */
export function format(s) {
  const p = new URLSearchParams();
  if (s.view) p.append("view", s.view);
  if (s.collection) p.append("c", s.collection);
  if (s.q) p.append("q", s.q);
  if (s.mode !== DEFAULT_MODE) p.append("mode", s.mode);
  for (const [field, f] of Object.entries(s.filters)) {
    for (const v of f.values ?? []) p.append("f." + field, v);
    for (const b of BOUNDS) if (f[b] !== undefined) p.append(`${b}.${field}`, f[b]);
  }
  for (const name of ["where", "sort", "like", "report", "threshold", "keep"]) if (s[name]) p.append(name, s[name]);
  if (s.fold) p.append("fold", "1");
  if (s.page > 1) p.append("page", s.page);
  const text = p.toString();
  return text ? "?" + text : location.pathname;
}

let current = parse(location.search);
let typedAt = -Infinity;
const listeners = [];

export const get = () => current;
export function subscribe(listener) { listeners.push(listener); }

/** set changes parts of the state. how: "push" a step for the back button, "replace" the step, or "typing". */
export function set(patch, how = "push") {
  const before = current;
  current = { ...current, ...patch };
  if (!("page" in patch)) current.page = 1;
  const address = format(current);
  if (address !== format(before)) {
    const now = performance.now();
    const sameStep = how === "replace" || (how === "typing" && now - typedAt < TYPING_PAUSE_MS);
    typedAt = how === "typing" ? now : -Infinity;
    history[sameStep ? "replaceState" : "pushState"](null, "", address);
  }
  for (const l of listeners) l(current, before, how);
}

addEventListener("popstate", () => {
  const before = current;
  current = parse(location.search);
  typedAt = -Infinity;
  for (const l of listeners) l(current, before, "back");
});

/** withFilter gives the filters with one field's part replaced; an empty part removes it. */
export function withFilter(filters, field, part) {
  const next = Object.fromEntries(Object.entries(filters).filter(([name]) => name !== field));
  const full = part && (part.values?.length || BOUNDS.some((b) => part[b] !== undefined));
  return full ? Object.fromEntries([...Object.entries(next), [field, part]]) : next;
}

export const hasFilters = (s) => Object.keys(s.filters).length > 0 || s.where !== "";
