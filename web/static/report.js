// What became of an import: counts, the rows that were not taken, and the settings that were guessed.

import { h, icon } from "./dom.js";
import { count, plural } from "./format.js";

const SHOWN = 100; // failed rows in the table; the download holds all that the report has

/** reportView shows an import's report. */
export function reportView(report, { file, took }) {
  const figure = (value, name, kind) => value !== undefined && h("div", { class: kind }, h("b", null, count(value)), h("span", null, name));
  return h("div", { class: "report" },
    report.error && h("p", { class: "banner bad", role: "alert" }, report.error),
    h("div", { class: "figures" },
      figure(report.indexed, "imported", "good"),
      figure(report.failed, "not taken", report.failed > 0 ? "bad" : ""),
      report.unchanged > 0 && figure(report.unchanged, "already there"),
      report.truncated > 0 && figure(report.truncated, "longer than the model reads"),
      report.indexed !== undefined && h("div", null, h("b", null, took), h("span", null, "in all"))),
    report.errors?.length > 0 && rows(report, file),
    report.settings && guess(report.settings));
}

function rows(report, file) {
  const errors = report.errors;
  const more = (report.failed ?? errors.length) - errors.length;
  return h("section", { class: "failed" },
    h("div", { class: "failed-head" }, h("h3", null, "Rows that were not taken"),
      h("button", { type: "button", class: "link", id: "failed-download", on: { click: () => download(errors, file) } }, icon("download"), "Download")),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Rows that were not taken" }, h("table", null,
      h("thead", null, h("tr", null, ["Line", "Id", "Why"].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", null, errors.slice(0, SHOWN).map((e) => h("tr", null, h("td", null, e.line || "–"), h("td", { class: "id" }, e.id || "–"), h("td", null, e.detail || e.code)))))),
    (errors.length > SHOWN || more > 0) && h("p", { class: "aside" }, errors.length > SHOWN && `The first ${SHOWN} are shown. `, more > 0 && `${plural(more, "more row")} failed beyond those the server lists.`));
}

function download(errors, file) {
  const blob = new Blob(errors.map((e) => JSON.stringify(e) + "\n"), { type: "application/x-ndjson" });
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: `${file}.failed.jsonl` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function guess(settings) {
  const attributes = Object.entries(settings.attributes ?? {});
  const row = (name, ...value) => [h("dt", null, name), h("dd", null, value)];
  return h("section", { class: "guess" }, h("h3", null, "Settings that Robin chose"),
    h("dl", { class: "fields" },
      row("Id", h("code", null, settings.id_field)),
      row("Text", (settings.text ?? []).map((t) => [h("code", null, t.weight && t.weight !== 1 ? `${t.field} ×${t.weight}` : t.field), " "])),
      settings.identifiers?.length > 0 && row("Identifiers", settings.identifiers.map((f) => [h("code", null, f), " "])),
      attributes.length > 0 && row("Attributes", attributes.map(([f, t]) => [h("code", null, f), " ", h("small", null, t), " "])),
      row("Embedded", h("code", null, settings.embed_template))));
}
