// Looking for duplicates: what to keep, whether the cross-encoder reads too, progress, and the searches there were.

import { fill, h } from "./dom.js";
import { follow } from "./follow.js";
import { label, plural } from "./format.js";
import { createProgress } from "./progress.js";
import * as api from "./api.js";

const when = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

/** keepRules lists the rules that fit a collection's attributes: [rule, words]. */
export function keepRules(types) {
  const rules = [["first", "the first one"], ["most_complete", "the most complete"]];
  for (const field of Object.keys(types).sort()) {
    const name = label(field).toLowerCase();
    if (types[field] === "number") rules.push([`highest:${field}`, `the highest ${name}`], [`lowest:${field}`, `the lowest ${name}`]);
    if (types[field] === "date") rules.push([`newest:${field}`, `the newest by ${name}`], [`oldest:${field}`, `the oldest by ${name}`]);
  }
  return rules;
}

/** keepSelect offers them. */
export function keepSelect(types, current, id = "keep") {
  const rules = keepRules(types);
  if (current && !rules.some(([r]) => r === current)) rules.push([current, current]);
  const select = h("select", { class: "select", id }, rules.map(([rule, name]) => h("option", { value: rule }, name)));
  select.value = current || "first";
  return select;
}

/** createFinder gives {node, wait, offer, watch}. start(body) → the task; found(id) and open(id) show a report. */
export function createFinder({ start, found, open, fail }) {
  const node = h("div", { class: "finder" });
  let turn = 0;

  const wait = () => { turn++; fill(node, h("div", { class: "card finder-wait", "aria-hidden": "true" })); };

  function offer({ reports, types, documents }) {
    const keep = keepSelect(types, "", "find-keep");
    const cross = h("input", { type: "checkbox", id: "find-cross", checked: true });
    const complaint = h("p", { class: "field-error", role: "alert" });
    const again = () => offer({ reports, types, documents });
    async function submit(e) {
      e.preventDefault();
      const button = node.querySelector("#find");
      button.disabled = true;
      fill(complaint);
      try {
        const task = await start({ keep: keep.value, cross: cross.checked ? "auto" : "off" });
        watch(task.id, again);
      } catch (err) {
        button.disabled = false;
        complaint.textContent = err.fields?.[0]?.detail ?? err.message;
      }
    }
    fill(node, h("form", { class: "card find", on: { submit } },
      h("p", { class: "find-text" }, documents > 0 ? ["Robin compares ", h("b", null, plural(documents, "document")), " with one another by meaning. Nothing is changed until you say so."]
        : "This collection is empty. Import documents first."),
      h("div", { class: "find-row" },
        h("div", null, h("label", { for: "find-keep" }, "Of those that are the same, keep"), keep),
        h("label", { class: "tick find-cross" }, cross, h("span", null, "Let the cross-encoder read the borderline pairs"))),
      complaint,
      h("div", { class: "dialog-foot" }, h("button", { class: "button primary", id: "find", disabled: documents === 0 }, "Find duplicates"))),
      reports.length > 0 && h("section", { class: "earlier" }, h("h2", null, "Earlier searches"),
        h("ul", null, reports.map((r) => h("li", null, h("button", { type: "button", class: "earlier-one", "data-task": r.task, on: { click: () => open(r.task) } },
          h("b", null, when.format(new Date(r.created))), h("span", null, `${plural(r.duplicates, "duplicate")} in ${plural(r.total, "cluster")} of ${plural(r.documents, "document")}`)))))));
  }

  /** watch follows a search that runs. again() draws what was there before it. */
  async function watch(id, again) {
    const mine = ++turn;
    const progress = createProgress({ reading: "Robin compares…", stop: () => api.cancelTask(id).catch(fail) });
    progress.say("Waiting for its turn…");
    fill(node, h("div", { class: "card finding" }, h("h2", null, "Looking for duplicates"), progress.node));
    try {
      const task = await follow(id, { on: progress.task, lost: progress.lost });
      if (mine !== turn) return;
      if (task.status === "succeeded") return void found(id);
      again?.();
      fail(new Error(task.status === "canceled" ? "The search was stopped" : task.error || "The search failed"));
    } catch (err) {
      if (mine !== turn) return;
      again?.();
      fail(err);
    }
  }

  return { node, wait, offer, watch };
}
