// What became of an import: counts, the rows that were not taken, and the settings that were guessed.

import * as api from "./api.js";
import { h, icon } from "./dom.js";
import { count, plural } from "./format.js";
import { save } from "./save.js";

const SHOWN = 100; // failed rows in the table; the downloads hold more

/** reportView shows an import's report. */
export function reportView(report, { file, took }) {
  const figure = (value, name, kind) => value !== undefined && h("div", { class: kind }, h("b", null, count(value)), h("span", null, name));
  return h("div", { class: "report" },
    report.error && h("p", { class: "banner bad", role: "alert" }, report.error),
    h("div", { class: "figures" },
      figure(report.indexed, "imported", "good"),
      figure(report.failed, "not taken", report.failed > 0 ? "bad" : ""),
      report.unchanged > 0 && figure(report.unchanged, "already there"),
      report.duplicates > 0 && figure(report.duplicates, report.duplicates === 1 ? "duplicate" : "duplicates"),
      report.replaced > 0 && figure(report.replaced, "with an id that came before"),
      report.truncated > 0 && figure(report.truncated, "longer than the model reads"),
      report.coerced > 0 && figure(report.coerced, "values mended"),
      report.dropped > 0 && figure(report.dropped, "values left out"),
      report.indexed !== undefined && h("div", null, h("b", null, took), h("span", null, "in all"))),
    report.errors?.length > 0 && rowsView(report, { file, task: report.task, title: "Rows that were not taken" }),
    report.twins?.length > 0 && twins(report),
    report.settings && columnsView(report.settings));
}

/** rowsView lists the rows of a report that failed, to read and to take away: as they came, and with their reasons. */
export function rowsView(report, { file, task, title }) {
  const errors = report.errors;
  const more = (report.failed ?? errors.length) - errors.length;
  const complaint = h("p", { class: "field-error", role: "alert" });
  const rows = async () => {
    try {
      const { blob, name } = await api.failedRows(task);
      save(blob, `${file.replace(/(\.\w+){1,2}$/, "")}.failed${name.match(/\.\w+$/)?.[0] ?? ""}`);
      complaint.textContent = "";
    } catch (err) {
      complaint.textContent = `The rows did not come: ${err.message}`;
    }
  };
  const reasons = () => save(new Blob(errors.map((e) => JSON.stringify(e) + "\n"), { type: "application/x-ndjson" }), `${file}.faults.jsonl`);
  const button = (id, name, click) => h("button", { type: "button", class: "link", id, on: { click } }, icon("download"), name);
  return h("section", { class: "failed" },
    h("div", { class: "failed-head" }, h("h3", null, title),
      h("div", { class: "failed-files" }, task && report.failed_kept > 0 && button("failed-download", "Rows", rows), button("reasons-download", "Reasons", reasons))),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, h("table", null,
      h("thead", null, h("tr", null, ["Line", "Id", "Why"].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", null, errors.slice(0, SHOWN).map((e) => h("tr", null, h("td", null, e.line || "–"), h("td", { class: "id" }, e.id || "–"), h("td", null, e.detail || e.code)))))),
    complaint,
    report.failed_kept > 0 && h("p", { class: "aside" }, "Download the rows, correct them, and import them again."),
    (errors.length > SHOWN || more > 0) && h("p", { class: "aside" }, errors.length > SHOWN && `The first ${SHOWN} are shown. `, more > 0 && `${plural(more, "more row")} failed beyond those the server lists.`));
}

const TOOK = { flag: "flagged", link: "linked", reject: "not taken" };

function twins(report) {
  return h("section", { class: "failed twins" }, h("h3", null, "Documents that say what a stored one says"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Documents that say what a stored one says" }, h("table", null,
      h("thead", null, h("tr", null, ["Line", "Id", "Its twin", ""].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", null, report.twins.slice(0, SHOWN).map((t) => h("tr", null, h("td", null, t.line || "–"), h("td", { class: "id" }, t.id), h("td", { class: "id" }, t.twin), h("td", null, [TOOK[t.action] ?? t.action, t.reason || `cosine ${Number(t.cosine).toFixed(3)}`].join(": "))))))));
}

/** columnsOf gives what each field of the settings is for: {field, parts, embedded}. */
export function columnsOf(settings) {
  const fields = new Map();
  const field = (name) => {
    if (!fields.has(name)) fields.set(name, { field: name, parts: [], embedded: false });
    return fields.get(name);
  };
  if (settings.id_field) field(settings.id_field).parts.push("id");
  for (const t of settings.text ?? []) field(t.field).parts.push(t.weight && t.weight !== 1 ? `text ×${t.weight}` : "text");
  for (const name of settings.identifiers ?? []) field(name).parts.push("identifier");
  for (const [name, type] of Object.entries(settings.attributes ?? {})) field(name).parts.push(type);
  if (settings.vector_field) field(settings.vector_field).parts.push("vector");
  for (const [, name] of (settings.embed_template ?? "").matchAll(/\{\{\s*(.+?)\s*\}\}/g)) if (fields.has(name)) fields.get(name).embedded = true;
  return [...fields.values()];
}

/** columnsView shows the settings that were guessed, a row for each field. */
export function columnsView(settings) {
  return h("section", { class: "guess" }, h("h3", null, "Fields that Robin found"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Fields that Robin found" }, h("table", null,
      h("thead", null, h("tr", null, ["Field", "Is", "Embedded"].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", null, columnsOf(settings).map((c) => h("tr", null, h("td", null, h("code", null, c.field)), h("td", null, c.parts.join(", ")), h("td", null, c.embedded ? "yes" : "–")))))));
}
