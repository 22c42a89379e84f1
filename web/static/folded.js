// Documents that are folded under a hit because they say the same.

import { fill, h, icon } from "./dom.js";
import { count, money } from "./format.js";
import { parts } from "./roles.js";

/** folded gives the button "+3 like this" with the list that it opens. document(id) gives a document. */
export function folded(hit, { id, roles, document }) {
  const ids = hit.duplicate_ids ?? [];
  const list = h("ul", { class: "folded", id, hidden: true });
  const toggle = h("button", { type: "button", class: "link", "data-act": "folded", "aria-expanded": "false", "aria-controls": id, on: { click: () => {
    list.hidden = !list.hidden;
    toggle.setAttribute("aria-expanded", String(!list.hidden));
    if (!list.hidden && !list.firstChild) open();
  } } }, `+${count(hit.duplicates)} like this`, icon("chevron"));

  function open() {
    const more = hit.duplicates - ids.length;
    fill(list, ids.map((twin) => {
      const title = h("span", { class: "folded-title", dir: "auto" }, twin), price = h("span", { class: "folded-price" });
      document(twin).then((doc) => {
        const p = parts({ document: doc }, roles);
        if (p.title) title.textContent = p.title;
        if (p.price !== null) price.textContent = money(p.price, p.currency);
      }, () => { price.textContent = "not there any more"; });
      return h("li", null, title, price, h("span", { class: "id" }, twin));
    }), more > 0 && h("li", { class: "aside" }, `and ${count(more)} more`));
  }

  return h("div", { class: "fold-under" }, toggle, list);
}
