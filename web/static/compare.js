// Two documents side by side: their texts word by word, and the other fields that differ.

import { fill, h } from "./dom.js";
import { diffView } from "./diff.js";
import { label, plain, plural } from "./format.js";

const object = (doc) => (doc && typeof doc === "object" && !Array.isArray(doc) ? doc : {});

/** compared sorts the fields of two documents: texts with a difference, other fields with one, and how many are alike. */
export function compared(a, b, texts) {
  const names = [...new Set([...texts, ...Object.keys(object(a)), ...Object.keys(object(b))])];
  const value = (doc, field) => (Object.hasOwn(object(doc), field) ? plain(doc[field]) : "");
  const out = { texts: [], others: [], alike: 0 };
  for (const field of names) {
    const x = value(a, field), y = value(b, field);
    if (x === y) out.alike += x === "" ? 0 : 1;
    else (texts.includes(field) ? out.texts : out.others).push({ field, a: x, b: y });
  }
  return out;
}

/** compareView fills panel with the comparison of the documents of two ids. names: what the two are called. */
export async function compareView(panel, { a, b, get, texts, names }) {
  if (panel.dataset.state) return;
  panel.dataset.state = "asked";
  fill(panel, h("p", { class: "why-wait" }, "Reading both…"));
  try {
    const [x, y] = await Promise.all([get(a), get(b)]);
    panel.dataset.state = "done";
    if (!x || !y) return void fill(panel, h("p", { class: "why-wait" }, `${[!x && a, !y && b].filter(Boolean).join(" and ")} ${x || y ? "is" : "are"} no longer in the collection.`));
    fill(panel, content(compared(x, y, texts), names));
  } catch (err) {
    panel.dataset.state = "";
    fill(panel, h("p", { class: "field-error" }, `The documents did not come: ${err.message}`));
  }
}

function content({ texts, others, alike }, [one, other]) {
  const note = [texts.length === 0 && "The texts are the same, word for word.", alike > 0 && `${plural(alike, "field is", "fields are")} alike.`].filter(Boolean).join(" ");
  return [
    texts.length > 0 && h("p", { class: "diff-key" }, h("del", null, "struck out"), ` only in ${one} · `, h("ins", null, "underlined"), ` only in ${other}`),
    texts.map((t) => h("section", { class: "diff-field" }, h("h4", null, label(t.field)), diffView(t.a, t.b))),
    others.length > 0 && h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Fields that differ" }, h("table", { class: "differ" },
      h("thead", null, h("tr", null, ["Field", `In ${one}`, `In ${other}`].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", null, others.map((o) => h("tr", null, h("th", { scope: "row" }, label(o.field)), [o.a, o.b].map((v) => h("td", { dir: "auto" }, v || "–"))))))),
    note && h("p", { class: "why-wait" }, note),
  ];
}
