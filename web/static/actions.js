// What is done to duplicates, with a question before and a way back after.

import * as api from "./api.js";
import { fill, h, icon } from "./dom.js";
import { ACTIONS, documents } from "./clusters.js";
import { plural } from "./format.js";

const when = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

/** createActions keeps the list of what was done in root, and asks in dialog. changed() hears of every change. */
export function createActions(root, dialog, { collection, changed, fail, toast }) {
  let list = [], undoing = "";

  async function load() {
    list = await api.duplicateActions(collection);
    draw();
  }

  function draw() {
    fill(root, h("h2", { tabindex: "-1" }, "What was done"),
      list.length === 0 ? h("p", { class: "aside" }, "Nothing yet. Whatever is done here can be undone here.")
        : h("ol", { class: "actions" }, list.map((a) => h("li", { "data-id": a.id, class: a.undone ? "undone" : undefined },
          h("div", null, h("b", null, `${ACTIONS[a.action]?.done ?? a.action} ${plural(a.documents ?? 0, "document")}`),
            h("span", { class: "aside" }, [a.created && when.format(new Date(a.created)), a.undone && "undone"].filter(Boolean).join(" · "))),
          !a.undone && h("button", { type: "button", class: "link", "data-act": "undo", disabled: undoing !== "", on: { click: () => undo(a) } }, icon("undo"), undoing === a.id ? "Undoing…" : "Undo")))));
  }

  async function undo(a) {
    if (undoing) return;
    const inside = root.contains(document.activeElement);
    undoing = a.id;
    draw();
    try {
      await api.undoDuplicates(collection, a.id);
      toast(`${ACTIONS[a.action]?.verb ?? a.action} was undone`);
      changed(a.id, null);
    } catch (err) {
      fail(err);
    }
    undoing = "";
    await load().catch(fail);
    if (inside) root.querySelector("h2").focus({ preventScroll: true }); // the button is gone
  }

  /** ask says what will happen to how many documents; run() is called when a person agrees. */
  function ask(action, { duplicates, clusters, left }, run) {
    const { verb, says } = ACTIONS[action];
    const yes = h("button", { type: "button", class: action === "delete" ? "button danger" : "button primary", id: "confirm-yes", on: { click: () => { dialog.close(); run(); } } }, `${verb} ${plural(duplicates, "document")}`);
    fill(dialog, h("h2", { id: "confirm-title" }, `${verb} ${plural(duplicates, "duplicate")}?`),
      h("p", null, h("b", null, documents(duplicates, clusters)), ` ${duplicates === 1 ? says.replace(/^are/, "is").replace(/as possible duplicates/, "as a possible duplicate").replace(/They stay/, "It stays").replace(/as other offers/, "as another offer") : says}`),
      left && h("p", { class: "aside" }, left),
      h("div", { class: "dialog-foot" }, h("button", { type: "button", class: "button", id: "confirm-no", on: { click: () => dialog.close() } }, "Cancel"), yes));
    dialog.showModal();
    dialog.querySelector("#confirm-no").focus(); // Enter alone deletes nothing
  }

  /** apply does it. body: {action, threshold, keep, clusters}. */
  async function apply(task, body) {
    try {
      const { action } = await api.applyDuplicates(collection, task, body);
      toast(`${ACTIONS[body.action].done} ${plural(action.documents ?? 0, "document")}`);
      changed(action.id, body);
    } catch (err) {
      fail(err);
    }
    await load().catch(fail);
  }

  draw();
  return { load, ask, apply, undo };
}
