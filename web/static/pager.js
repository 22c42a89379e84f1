// Pages of hits: first, last, and the neighbours of where one is.

import { fill, h, icon, keepFocus } from "./dom.js";
import { count } from "./format.js";
import { lastPage } from "./search.js";

/** pages lists what the pager shows; 0 stands for a gap. A gap is never of one page only. */
export function pages(page, last) {
  const want = new Set([1, last, page - 1, page, page + 1].filter((n) => n >= 1 && n <= last));
  if (page <= 3) for (let n = 1; n <= Math.min(4, last); n++) want.add(n);
  if (page >= last - 2) for (let n = Math.max(1, last - 3); n <= last; n++) want.add(n);
  const out = [];
  let before = 0;
  for (const n of [...want].sort((a, b) => a - b)) {
    if (n - before === 2) out.push(n - 1);
    else if (n - before > 2) out.push(0);
    out.push(n);
    before = n;
  }
  return out;
}

/** drawPager shows the pages of total hits; go(page) is called with the one that is picked. size: of a page, when not the hits'. */
export function drawPager(root, page, total, go, size) {
  const last = size ? Math.max(1, Math.ceil(total / size)) : lastPage(total);
  if (total === 0 || (last === 1 && page === 1)) return void fill(root);
  const step = (to, name, art) => h("button", { type: "button", class: "button quiet square", "aria-label": name, "data-key": `p ${name}`, disabled: to < 1 || to > last, on: { click: () => go(to) } }, icon(art));
  const one = (n) => (n === 0 ? h("span", { class: "gap", "aria-hidden": "true" }, "…")
    : h("button", { type: "button", class: "button quiet page-no", "aria-label": `Page ${n}`, "aria-current": n === page ? "page" : undefined, "data-key": `p ${n}`, on: { click: () => go(n) } }, count(n)));
  keepFocus(root, () => fill(root, step(page - 1, "Previous page", "left"), pages(page, last).map(one), step(page + 1, "Next page", "right")));
}
