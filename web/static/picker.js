// The collection picker and the sort menu: two selects whose options come from the server.

import { fill, h } from "./dom.js";
import { count, label } from "./format.js";

/** drawPicker lists the collections; one that the address names but the server lacks is listed too, as missing. */
export function drawPicker(select, list, current) {
  const known = list.some((c) => c.name === current);
  select.disabled = list.length === 0 && !current;
  fill(select,
    list.length === 0 && !current && h("option", null, "No collection"),
    !known && current && h("option", { value: current }, `${current} (missing)`),
    list.map((c) => h("option", { value: c.name }, `${c.name} (${count(c.documents ?? 0)})`)));
  if (current) select.value = current;
}

/** choose picks the collection to open when the address names none. */
export const choose = (list, favourite) => (list.find((c) => c.name === favourite) ?? list.find((c) => c.documents > 0) ?? list[0])?.name ?? "";

/** drawSort offers each number and date in both directions. */
export function drawSort(select, types, roles, current) {
  const words = { number: ["low to high", "high to low"], date: ["oldest first", "newest first"] };
  const first = [roles.price, roles.rating];
  const fields = Object.keys(types).filter((f) => types[f] in words)
    .sort((a, b) => (first.includes(b) - first.includes(a)) || (a < b ? -1 : 1));
  const options = fields.flatMap((f) => ["asc", "desc"].map((dir, i) => [`${f}:${dir}`, `${label(f)}, ${words[types[f]][i]}`]));
  if (current && !options.some(([v]) => v === current)) options.push([current, current]);
  fill(select, h("option", { value: "" }, "Most relevant"), options.map(([value, name]) => h("option", { value }, name)));
  select.value = current;
}
