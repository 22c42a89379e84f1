// The import dialog: choose or drop a file, watch it go in, and see what became of each row.

import * as api from "./api.js";
import { fill, h, icon } from "./dom.js";
import { follow } from "./follow.js";
import { bytes, ms, plural } from "./format.js";
import { createProgress } from "./progress.js";
import { createRehearsal } from "./rehearsal.js";
import { reportView } from "./report.js";
import { describe, nameFor, send, validName } from "./upload.js";

/** createImporter runs the dialog. names() gives the collections there are; done(name) is called when documents went in. */
export function createImporter(dialog, { names, done }) {
  let rehearsal = null;
  let stop = false; // something runs that Esc does not hide
  let run = 0; // a later run's dialog is not touched by an earlier one

  dialog.addEventListener("cancel", (e) => { if (stop) e.preventDefault(); }); // Esc does not hide a running import
  dialog.addEventListener("click", (e) => { if (e.target === dialog && !stop) dialog.close(); });

  dialog.addEventListener("close", () => { if (!dialog.open) rehearsal?.end(); }); // the event comes late: another file may be in by then

  const frame = (title, ...content) => fill(dialog,
    h("div", { class: "dialog-head" }, h("h2", { id: "importer-title" }, title),
      h("button", { type: "button", class: "button quiet square", "aria-label": "Close", disabled: stop, on: { click: () => dialog.close() } }, icon("close"))),
    content);

  function open(file) {
    if (stop) return;
    run++;
    if (!dialog.open) dialog.showModal(); // first: it moves the focus, and a file's form puts it where a person goes on
    if (file) return void choose(file);
    frame("Import documents", dropzone());
    dialog.querySelector("#import-file").focus();
  }

  function dropzone(complaint) {
    const input = h("input", { type: "file", id: "import-file", class: "vh", accept: ".jsonl,.ndjson,.json,.csv,.tsv,.parquet,.gz,.zst", on: { change: () => input.files[0] && choose(input.files[0]) } });
    return h("div", { class: "dropzone" }, icon("file"),
      h("p", null, h("b", null, "Drop a file here")), h("p", { class: "aside" }, "JSONL, JSON, CSV or Parquet, plain, .gz or .zst"),
      input, h("label", { class: "button primary", for: "import-file" }, "Choose a file"),
      complaint && h("p", { class: "field-error", role: "alert" }, complaint));
  }

  function choose(file) {
    const kind = describe(file);
    if (!kind) return void frame("Import documents", dropzone(`${file.name} is not a file that Robin reads. It takes .jsonl, .json, .csv, .tsv and .parquet, also with .gz or .zst.`));
    if (file.size === 0) return void frame("Import documents", dropzone(`${file.name} is empty.`));
    const name = h("input", { class: "field", id: "import-name", value: nameFor(file.name), spellcheck: "false", autocapitalize: "off", autocomplete: "off", maxlength: "64", required: true });
    const hint = h("p", { class: "hint", id: "import-hint", "aria-live": "polite" });
    const action = h("select", { class: "select", id: "import-action" },
      h("option", { value: "upsert" }, "Add, and replace same ids"), h("option", { value: "create" }, "Add only new ones"), h("option", { value: "update" }, "Change existing ones only"));
    const dirty = h("select", { class: "select", id: "import-dirty" },
      h("option", { value: "reject" }, "Leave out the row"), h("option", { value: "coerce" }, "Mend what can be read in one way only"), h("option", { value: "drop" }, "Mend, and leave out the value that cannot be read"));
    const button = h("button", { class: "button primary", id: "import-start" }, "Import");
    const dry = h("section", { class: "rehearsal", "aria-label": "Dry run" });
    const options = () => ({ ...kind, collection: name.value, action: action.value, dirty: dirty.value });
    rehearsal?.end();
    rehearsal = createRehearsal(dry, { file, options, found: (r) => { button.textContent = r?.failed > 0 && r.valid > 0 ? `Import ${plural(r.valid, "good row")}` : "Import"; } });
    const mine = rehearsal;
    const rehearse = () => { if (validName(name.value)) mine.begin(); };
    const check = () => {
      const ok = validName(name.value);
      name.setCustomValidity(ok ? "" : "Lower-case letters, digits, - and _; it begins with a letter or a digit.");
      hint.textContent = !ok ? "Lower-case letters, digits, - and _; it begins with a letter or a digit."
        : names().includes(name.value) ? "This collection exists: the documents join it." : "A new collection. Its id, text and attribute fields are found from the first rows.";
      hint.classList.toggle("field-error", !ok);
    };
    name.addEventListener("input", check);
    name.addEventListener("change", rehearse);
    dirty.addEventListener("change", rehearse);
    check();
    const submit = (e) => { e.preventDefault(); mine.end(); start(file, options()); };
    const other = () => { mine.end(); frame("Import documents", dropzone()); };
    frame("Import documents", h("form", { class: "import-form", on: { submit } },
      h("p", { class: "file" }, icon("file"), h("b", null, file.name), h("span", null, `${bytes(file.size)} · ${kind.label}`)),
      h("label", { for: "import-name" }, "Into the collection"), name, hint,
      h("div", { class: "import-choices" },
        h("div", null, h("label", { for: "import-action" }, "What to do"), action),
        h("div", null, h("label", { for: "import-dirty" }, "When a value has the wrong type"), dirty)),
      dry,
      h("div", { class: "dialog-foot" }, h("button", { type: "button", class: "button", on: { click: other } }, "Other file"), button)));
    name.focus();
    name.select();
    rehearse();
  }

  // start sends a file and follows its task; a task that is given is followed only.
  async function start(file, options, task = null) {
    const mine = ++run;
    let halt = () => {};
    const progress = createProgress({ stop: () => halt() });
    stop = true;
    frame(`Importing into ${options.collection}`, progress.node);
    const begun = performance.now();
    try {
      if (task) progress.say("Looking for it…");
      task ??= (await send(file, options, { abort: (f) => { halt = f; }, progress: progress.sent })).task;
      halt = () => api.cancelTask(task.id).catch(() => {}); // the next look tells whether it worked
      if (progress.stopped()) halt();
      const { id, status, error, result } = await follow(task.id, { on: progress.task, lost: progress.lost });
      if (mine === run) finish(file, options, { ...result, task: id, status, error }, performance.now() - begun);
    } catch (err) {
      if (mine !== run) return;
      if (task && err.offline) gone(file, options, task);
      else fail(file, options, err, progress.stopped());
    }
  }

  function finish(file, options, report, tookMs) {
    stop = false;
    const some = (report.indexed ?? 0) > 0;
    const title = report.status === "canceled" ? "Stopped" : report.status === "failed" ? "The import failed" : report.failed > 0 ? (some ? "Imported, with rows left out" : "No row could be imported") : "Imported";
    frame(title, reportView(report, { file: file.name, took: (report.took_ms ?? tookMs) < 1 ? "under 1 ms" : `${ms(report.took_ms ?? tookMs)} ms` }),
      h("div", { class: "dialog-foot" },
        h("button", { type: "button", class: "button", on: { click: () => { frame("Import documents", dropzone()); } } }, "Import another"),
        h("button", { type: "button", class: "button primary", id: "import-done", on: { click: () => dialog.close() } }, some ? `Search ${options.collection}` : "Close")));
    dialog.querySelector("#import-done").focus();
    done(options.collection, some);
  }

  // gone says that nobody answers about a task that had begun.
  function gone(file, options, task) {
    stop = false;
    frame("Robin does not answer", h("div", { class: "progress" },
      h("p", { role: "alert" }, "The file had arrived, and what was imported stays. When Robin runs again, it goes on with the rest by itself."),
      h("div", { class: "dialog-foot" }, h("button", { type: "button", class: "button", on: { click: () => dialog.close() } }, "Close"), h("button", { type: "button", class: "button primary", id: "import-look", on: { click: () => start(file, options, task) } }, "Look again"))));
  }

  function fail(file, options, err, canceled) {
    stop = false;
    const stopped = canceled || api.aborted(err);
    frame(stopped ? "Stopped" : "The import did not start", h("div", { class: "progress" },
      h("p", { role: "alert" }, stopped ? "The upload was stopped. Rows that Robin had taken by then stay." : err.message),
      err.fields?.length > 0 && h("dl", { class: "reasons" }, err.fields.map((f) => [h("dt", null, f.pointer.replace(/^\//, "") || "request"), h("dd", null, f.detail)])),
      h("div", { class: "dialog-foot" }, h("button", { type: "button", class: "button", on: { click: () => choose(file) } }, "Back"), h("button", { type: "button", class: "button primary", on: { click: () => start(file, options) } }, "Try again"))));
    done(options.collection, false);
  }

  return { open, busy: () => stop };
}
