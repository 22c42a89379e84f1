// On a narrow screen the filters live in a dialog that slides in; on a wide one, in the column beside the hits. The
// same nodes move between the two.

import { byId, fill, h, icon } from "./dom.js";

/** createDrawer wires the dialog. label(text) sets what its closing button says. */
export function createDrawer() {
  const dialog = byId("drawer");
  const side = byId("side");
  const facets = byId("facets");
  const slot = h("div", { class: "drawer-body" });
  const close = h("button", { type: "button", class: "button primary wide", on: { click: () => dialog.close() } }, "Show the results");
  fill(dialog,
    h("button", { type: "button", class: "button quiet square drawer-close", "aria-label": "Close the filters", on: { click: () => dialog.close() } }, icon("close")),
    slot, h("div", { class: "drawer-foot" }, close));

  const narrow = matchMedia("(max-width: 879px)");
  const place = () => {
    if (!narrow.matches && dialog.open) dialog.close();
    (narrow.matches ? slot : side).append(facets);
  };
  narrow.addEventListener("change", place);
  place();

  byId("drawer-open").addEventListener("click", () => dialog.showModal());
  dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });
  return { label: (text) => { close.textContent = text; } };
}
