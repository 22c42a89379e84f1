// Clusters of duplicates: the document to keep first, then those that say the same, each with what speaks for it.

import { fill, h, icon, keepFocus } from "./dom.js";
import { compareView } from "./compare.js";
import { count, plural } from "./format.js";

const FIRST = 10, MORE = 50; // members of one cluster that are listed at once

export const score = (v) => (v === 1 ? "1" : v.toFixed(3));

// without leaves out of a reason the cosine, which stands beside it.
const without = (reason) => reason.replace(/^cosine [\d.]+(?:$|, (?:and|but) )/, "");

/** evidence lists what joins a member to its kept document. */
export const evidence = (p) => [p.reason ?? ""].map(without).flatMap((why) => [
  h("span", null, `cosine ${score(p.cosine)}`),
  typeof p.cross === "number" && h("span", null, `cross-encoder ${p.cross.toFixed(2)}`),
  why && h("span", { class: "reason" }, why),
]);

/** createClusters draws into root. act: {apply(action, cluster), keeper(cluster), done(cluster)}, which gives
 * {word, undo()} of what was done with it; answers: see answers.js. */
export function createClusters(root, { answers, act }) {
  let made = 0; // for ids that are unique in the page

  function draw(clusters, { get, texts }) {
    keepFocus(root, () => fill(root, clusters.map((c) => cluster(c, { get, texts }))));
  }

  function cluster(c, context) {
    const members = h("ul", { class: "members" });
    let shown = 0;
    const more = h("button", { type: "button", class: "link more", on: { click: () => unfold(MORE) } });
    const unfold = (n) => {
      const next = c.members.slice(shown, shown + n);
      members.append(...next.map((m) => member(c, m, context)));
      shown += next.length;
      more.hidden = shown >= c.members.length;
      more.textContent = `Show ${count(Math.min(MORE, c.members.length - shown))} more of ${count(c.members.length)}`;
    };
    unfold(c.members.length === FIRST + 1 ? FIRST + 1 : FIRST);
    const id = `cluster-${++made}`;
    const gone = act.done(c);
    const acts = ["flag", "link", "delete"].map((action) => h("button", { type: "button", class: `link ${action}`, "data-act": action, "data-key": `${action} ${c.kept}`, on: { click: () => act.apply(action, c) } },
      ACTIONS[action].verb, h("span", { class: "wider" })));
    const el = h("article", { class: "cluster", "aria-labelledby": id, "data-kept": c.kept },
      h("div", { class: "cluster-head" },
        h("span", { class: "badge" }, icon("keep"), "Keep"),
        h("div", null,
          h("h3", { id, dir: "auto" }, c.title || c.kept),
          h("p", { class: "meta" }, c.why && h("span", { class: "reason" }, c.why), h("span", { class: "id" }, c.kept)))),
      members, more,
      h("div", { class: "cluster-foot" },
        h("span", { class: "cluster-done", role: "status" }, gone?.word),
        gone?.undo && h("button", { type: "button", class: "link", "data-act": "undo", on: { click: gone.undo } }, icon("undo"), "Undo"),
        acts));
    // What a person calls another document is left alone, and is not counted.
    const recount = () => {
      const n = c.members.filter((m) => answers.said(c.kept, m.id) !== false).length;
      for (const button of acts) {
        button.disabled = n === 0;
        button.querySelector(".wider").textContent = n === 1 ? " the duplicate" : ` the ${count(n)} duplicates`;
      }
    };
    el.addEventListener("answered", recount);
    recount();
    return el;
  }

  function member(c, m, { get, texts }) {
    const id = `compare-${++made}`;
    const panel = h("div", { class: "panel compare", id, hidden: true });
    const toggle = h("button", { type: "button", class: "link", "data-act": "compare", "aria-expanded": "false", "aria-controls": id, on: { click: () => {
      panel.hidden = !panel.hidden;
      toggle.setAttribute("aria-expanded", String(!panel.hidden));
      if (!panel.hidden) compareView(panel, { a: c.kept, b: m.id, get, texts, names: ["the kept one", "this one"] });
    } } }, "Compare", icon("chevron"));
    return h("li", { class: "member", "data-id": m.id },
      h("div", { class: "member-main" },
        h("p", { class: "member-title", dir: "auto" }, m.title || m.id),
        h("p", { class: "meta" }, evidence(m), h("span", { class: "id" }, m.id))),
      h("div", { class: "member-acts" }, answers.buttons(c.kept, m.id, { keep: () => act.keeper(c, m) }), toggle),
      panel);
  }

  return { draw, clear: () => fill(root) };
}

/** ACTIONS says in words what is done to duplicates. */
export const ACTIONS = {
  flag: { verb: "Flag", done: "Flagged", says: "are marked as possible duplicates. They stay in the collection and in every search." },
  link: { verb: "Link", done: "Linked", says: "are marked as other offers of the kept ones. They stay in the collection; a search that folds duplicates shows them as one." },
  delete: { verb: "Delete", done: "Deleted", says: "are deleted. The kept ones stay. Undo brings them back." },
};

/** documents says how many duplicates of how many clusters. */
export const documents = (n, clusters) => `${plural(n, "document")} in ${plural(clusters, "cluster")}`;
