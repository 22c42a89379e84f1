// The dry run of an import: what the file holds, what is wrong in it, and what importing it would cost.

import * as api from "./api.js";
import { fill, h } from "./dom.js";
import { follow } from "./follow.js";
import { bytes, count, plural, seconds } from "./format.js";
import { createProgress } from "./progress.js";
import { columnsView, rowsView } from "./report.js";
import { send } from "./upload.js";

const AUTOMATIC_BYTES = 50e6; // a larger file is read through only when a person asks for it
const LABEL_EVERY = 4; // columns of the histogram have no room for a label each
const REST_MS = 150; // between a change of the form and the next dry run

/** createRehearsal shows in root what an import would do. options() gives the form's; found(report) hears of each result. */
export function createRehearsal(root, { file, options, found }) {
  let turn = 0, timer = 0, halt = () => {};

  /** end stops what runs. */
  function end() {
    turn++;
    clearTimeout(timer);
    halt();
    halt = () => {};
  }

  /** begin reads the file through, once the form has come to rest. */
  function begin() {
    end();
    found(null);
    if (file.size > AUTOMATIC_BYTES) offer(`${bytes(file.size)} take a while to read through.`, "Dry run");
    else {
      fill(root, h("p", { class: "aside" }, "Reading the file through…"));
      timer = setTimeout(run, REST_MS);
    }
  }

  const offer = (words, name) => fill(root, h("div", { class: "dry-offer" }, h("p", { class: "aside" }, words), h("button", { type: "button", class: "button", id: "dry-start", on: { click: run } }, name)));

  async function run() {
    const mine = ++turn;
    const progress = createProgress({ noun: "row", reading: "Robin reads it through…", stop: () => { end(); offer("The dry run was stopped.", "Dry run"); } });
    fill(root, h("h3", null, "Dry run"), progress.node);
    try {
      const { task } = await send(file, { ...options(), dry: true }, { abort: (f) => { halt = f; }, progress: (part, whole) => { if (mine === turn) progress.sent(part, whole); } });
      const cancel = () => { api.cancelTask(task.id).catch(() => {}); };
      if (mine !== turn) return void cancel();
      halt = cancel;
      const { status, error, result } = await follow(task.id, { on: progress.task, lost: progress.lost });
      if (mine !== turn) return;
      halt = () => {};
      if (status !== "succeeded" || !result) throw new Error(error || "The dry run did not end well.");
      fill(root, rehearsalView(result, { file: file.name, task: task.id }));
      found(result);
    } catch (err) {
      if (mine !== turn || api.aborted(err)) return;
      halt = () => {};
      fill(root, h("h3", null, "Dry run"), h("p", { class: "banner bad", role: "alert" }, err.message), err.fields?.length > 0 && h("p", { class: "aside" }, err.fields.map((f) => f.detail).join(" ")),
        h("button", { type: "button", class: "button", id: "dry-start", on: { click: run } }, "Try again"));
    }
  }

  return { begin, end };
}

/** rehearsalView shows a dry run's report. */
export function rehearsalView(report, { file, task }) {
  const figure = (value, name, kind) => h("div", { class: kind }, h("b", null, value), h("span", null, name));
  const e = report.estimate;
  return h("div", { class: "report dry", id: "dry-report" },
    h("div", { class: "figures" },
      figure(count(report.valid), report.valid === 1 ? "good row" : "good rows", "good"),
      figure(count(report.failed), report.failed === 1 ? "row with a fault" : "rows with a fault", report.failed > 0 ? "bad" : ""),
      report.replaced > 0 && figure(count(report.replaced), "with an id that came before"),
      report.coerced > 0 && figure(count(report.coerced), "values mended"),
      report.dropped > 0 && figure(count(report.dropped), "values left out"),
      e && figure(`about ${seconds(e.seconds)}`, "to import")),
    e && h("p", { class: "aside dry-cost" }, `About ${count(Math.round(e.per_s))} a second, ${bytes(rough(e.memory_bytes))} of memory and ${bytes(rough(e.disk_bytes))} on the disk, by a trial with ${plural(e.sample, "document")} of the file.`),
    report.errors?.length > 0 && rowsView(report, { file, task, title: "Rows with a fault" }),
    lengths(report.texts),
    report.settings ? columnsView(report.settings) : h("p", { class: "aside" }, "The collection's own settings are used."));
}

/** rough keeps two digits: an estimate is no better than that. */
const rough = (n) => Number(n.toPrecision(2));
const band = (b) => (b.to ? (b.from === b.to ? count(b.from) : `${count(b.from)}–${count(b.to)}`) : `${count(b.from)} +`);

/** lengths shows how long the texts are, as columns. Those that the model cuts stand behind a line, in another colour. */
function lengths(texts) {
  if (!texts?.documents) return null;
  const most = Math.max(1, ...texts.histogram.map((b) => b.documents));
  const beyond = texts.histogram.findIndex((b) => b.from > texts.limit);
  const words = texts.cut > 0 ? `${plural(texts.cut, "text is", "texts are")} longer than the ${count(texts.limit)} tokens that the model reads; the end of ${texts.cut === 1 ? "it" : "them"} is not embedded.` : `None is longer than the ${count(texts.limit)} tokens that the model reads.`;
  const named = (i) => i === beyond || (i % LABEL_EVERY === 0 && (beyond < 0 || i < beyond - 1));
  return h("section", { class: "lengths" }, h("h3", null, "Length of the texts, in tokens"),
    h("ul", { class: "length-bars" }, texts.histogram.map((b, i) => h("li", { class: i === beyond ? "cut first" : beyond >= 0 && i > beyond ? "cut" : undefined, title: `${band(b)} tokens: ${plural(b.documents, "text")}`, vars: { "--v": b.documents / most } },
      h("b", null, b.documents > 0 && count(b.documents)), h("i"), h("span", { class: "vh" }, `${band(b)} tokens`), h("em", { "aria-hidden": "true" }, named(i) && (i === beyond ? `over ${count(texts.limit)}` : count(b.from)))))),
    h("p", { class: "aside" }, `${words} The longest has ${count(texts.longest)}.`));
}
