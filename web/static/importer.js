// The import dialog: choose or drop a file, watch it go in, and see what became of each row.

import * as api from "./api.js";
import { fill, h, icon } from "./dom.js";
import { bytes, count, ms, plural, seconds } from "./format.js";
import { reportView } from "./report.js";
import { describe, nameFor, send, validName } from "./upload.js";

const POLL_MS = 300;
const LOST_POLLS = 20; // failed looks at the task in a row before the page gives up

/** createImporter runs the dialog. names() gives the collections there are; done(name) is called when documents went in. */
export function createImporter(dialog, { names, done }) {
  let stop = null; // ends what runs
  let run = 0; // a later run's dialog is not touched by an earlier one

  dialog.addEventListener("cancel", (e) => { if (stop) e.preventDefault(); }); // Esc does not hide a running import
  dialog.addEventListener("click", (e) => { if (e.target === dialog && !stop) dialog.close(); });

  const frame = (title, ...content) => fill(dialog,
    h("div", { class: "dialog-head" }, h("h2", { id: "importer-title" }, title),
      h("button", { type: "button", class: "button quiet square", "aria-label": "Close", disabled: Boolean(stop), on: { click: () => dialog.close() } }, icon("close"))),
    content);

  function open(file) {
    if (stop) return;
    run++;
    if (file) choose(file);
    else frame("Import documents", dropzone());
    if (!dialog.open) dialog.showModal();
  }

  function dropzone(complaint) {
    const input = h("input", { type: "file", id: "import-file", class: "vh", accept: ".jsonl,.ndjson,.json,.csv,.tsv,.gz,.zst", on: { change: () => input.files[0] && choose(input.files[0]) } });
    return h("div", { class: "dropzone" }, icon("file"),
      h("p", null, h("b", null, "Drop a file here")), h("p", { class: "aside" }, "JSONL, JSON or CSV, plain or .gz"),
      input, h("label", { class: "button primary", for: "import-file" }, "Choose a file"),
      complaint && h("p", { class: "field-error", role: "alert" }, complaint));
  }

  function choose(file) {
    const kind = describe(file);
    if (!kind) return void frame("Import documents", dropzone(`${file.name} is not a file that Robin reads. It takes .jsonl, .json, .csv and .tsv, also with .gz.`));
    if (file.size === 0) return void frame("Import documents", dropzone(`${file.name} is empty.`));
    const name = h("input", { class: "field", id: "import-name", value: nameFor(file.name), spellcheck: "false", autocapitalize: "off", autocomplete: "off", maxlength: "64", required: true });
    const hint = h("p", { class: "hint", id: "import-hint", "aria-live": "polite" });
    const action = h("select", { class: "select", id: "import-action" },
      h("option", { value: "upsert" }, "Add, and replace those with the same id"), h("option", { value: "create" }, "Add only new ones"), h("option", { value: "update" }, "Change existing ones only"));
    const check = () => {
      const ok = validName(name.value);
      name.setCustomValidity(ok ? "" : "Lower-case letters, digits, - and _; it begins with a letter or a digit.");
      hint.textContent = !ok ? "Lower-case letters, digits, - and _; it begins with a letter or a digit."
        : names().includes(name.value) ? "This collection exists: the documents join it." : "A new collection. Its id, text and attribute fields are found from the first rows.";
      hint.classList.toggle("field-error", !ok);
    };
    name.addEventListener("input", check);
    check();
    const submit = (e) => { e.preventDefault(); start(file, { ...kind, collection: name.value, action: action.value }); };
    frame("Import documents", h("form", { class: "import-form", on: { submit } },
      h("p", { class: "file" }, icon("file"), h("b", null, file.name), h("span", null, `${bytes(file.size)} · ${kind.label}`)),
      h("label", { for: "import-name" }, "Into the collection"), name, hint,
      h("label", { for: "import-action" }, "What to do"), action,
      h("div", { class: "dialog-foot" }, h("button", { type: "button", class: "button", on: { click: () => { frame("Import documents", dropzone()); } } }, "Other file"), h("button", { class: "button primary", id: "import-start" }, "Import"))));
    name.focus();
    name.select();
  }

  async function start(file, options) {
    const mine = run;
    const bar = h("progress", { max: "1", value: "0", "aria-label": "Progress" });
    const line = h("p", { class: "progress-line", role: "status" }, "Sending…");
    const extra = h("p", { class: "aside" });
    let canceled = false;
    stop = () => {};
    const button = h("button", { type: "button", class: "button", on: { click: () => { canceled = true; button.disabled = true; line.textContent = "Stopping…"; stop?.(); } } }, "Stop");
    frame(`Importing into ${options.collection}`, h("div", { class: "progress" }, bar, line, extra, h("div", { class: "dialog-foot" }, button)));
    const begun = performance.now();
    try {
      const answer = await send(file, options, {
        abort: (f) => { stop = f; },
        progress: (sent, total) => {
          bar.value = total ? sent / total : 0;
          line.textContent = sent < total ? `Sent ${bytes(sent)} of ${bytes(total)}` : "Sent. Robin is reading it…";
        },
      });
      const report = await follow(answer, { bar, line, extra, canceled: () => canceled, onStop: (f) => { stop = f; } });
      stop = null;
      if (mine === run) finish(file, options, report, performance.now() - begun);
    } catch (err) {
      stop = null;
      if (mine === run) fail(file, options, err, canceled);
    }
  }

  // follow watches the task until it is final, and gives its report.
  async function follow(answer, { bar, line, extra, canceled, onStop }) {
    const id = typeof answer?.task === "string" ? answer.task : answer?.task?.id;
    if (!id) return { ...answer, status: "succeeded" };
    const cancel = () => api.cancelTask(id).catch(() => {}); // the next look tells whether it worked
    onStop(cancel);
    if (canceled()) cancel();
    for (let lost = 0; ;) {
      let task;
      try {
        task = await api.task(id);
        lost = 0;
      } catch (err) {
        if (!(err.offline || err.busy) || ++lost > LOST_POLLS) throw err;
        line.textContent = "The connection is gone; looking again…";
        await new Promise((r) => setTimeout(r, 1000));
        continue;
      }
      if (["succeeded", "failed", "canceled"].includes(task.status)) return { ...(task.result ?? {}), status: task.status, error: task.error };
      const p = task.progress ?? {};
      if (p.total > 0) bar.value = Math.min(1, p.done / p.total);
      else bar.removeAttribute("value");
      if (!canceled()) line.textContent = p.total > 0 ? `${count(p.done)} of ${plural(p.total, "document")}` : p.done > 0 ? `${plural(p.done, "document")} so far` : "Robin is reading it…";
      extra.textContent = [p.per_s > 0 && `${count(Math.round(p.per_s))} per second`, p.eta_s > 0 && `about ${seconds(p.eta_s)} left`, p.failed > 0 && `${count(p.failed)} not taken`].filter(Boolean).join(" · ");
      await new Promise((r) => setTimeout(r, POLL_MS));
    }
  }

  function finish(file, options, report, tookMs) {
    const some = (report.indexed ?? 0) > 0;
    const title = report.status === "canceled" ? "Stopped" : report.status === "failed" ? "The import failed" : report.failed > 0 ? (some ? "Imported, with rows left out" : "No row could be imported") : "Imported";
    frame(title, reportView(report, { file: file.name, took: `${ms(report.took_ms ?? tookMs)} ms` }),
      h("div", { class: "dialog-foot" },
        h("button", { type: "button", class: "button", on: { click: () => { frame("Import documents", dropzone()); } } }, "Import another"),
        h("button", { type: "button", class: "button primary", id: "import-done", on: { click: () => dialog.close() } }, some ? `Search ${options.collection}` : "Close")));
    dialog.querySelector("#import-done").focus();
    done(options.collection, some);
  }

  function fail(file, options, err, canceled) {
    const stopped = canceled || api.aborted(err);
    frame(stopped ? "Stopped" : "The import did not start", h("div", { class: "progress" },
      h("p", { role: "alert" }, stopped ? "The upload was stopped. Rows that Robin had taken by then stay." : err.message),
      err.fields?.length > 0 && h("dl", { class: "reasons" }, err.fields.map((f) => [h("dt", null, f.pointer.replace(/^\//, "") || "request"), h("dd", null, f.detail)])),
      h("div", { class: "dialog-foot" }, h("button", { type: "button", class: "button", on: { click: () => choose(file) } }, "Back"), h("button", { type: "button", class: "button primary", on: { click: () => start(file, options) } }, "Try again"))));
    done(options.collection, false);
  }

  return { open, busy: () => stop !== null };
}
