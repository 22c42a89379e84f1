// The keyboard: "/" to the search, arrows through the hits, Enter and w on a hit, Esc to clear or to go back.

/** listen wires the keys. q: the search field; hits: the list; clear: empties the search; search: shows it. */
export function listen({ q, hits, clear, search }) {
  const cards = () => [...hits.querySelectorAll(".hit")];
  const current = () => document.activeElement?.closest?.(".hit");
  const focus = (card) => {
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest" });
  };
  const press = (act) => current()?.querySelector(`[data-act="${act}"]`)?.click();

  addEventListener("keydown", (e) => {
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || e.isComposing || document.querySelector("dialog[open]")) return;
    const at = document.activeElement;
    const typing = at?.matches?.("input:not([type=radio]):not([type=checkbox]), textarea, select");
    if (e.key === "/" && !typing) {
      e.preventDefault();
      search();
      q.focus();
      q.select();
    } else if (document.body.dataset.view) {
      return;
    } else if (at === q) {
      inSearch(e);
    } else if (current() && !typing) {
      onHit(e, at);
    } else if (e.key === "ArrowDown" && (at === document.body || at === hits)) {
      const first = cards()[0];
      if (first) { e.preventDefault(); focus(first); }
    }
  });

  function inSearch(e) {
    if (e.key === "Escape") {
      e.preventDefault();
      clear();
    } else if (e.key === "ArrowDown") {
      const first = cards()[0];
      if (first) { e.preventDefault(); focus(first); }
    }
  }

  function onHit(e, at) {
    const all = cards();
    const i = all.indexOf(current());
    const onCard = at === all[i];
    if (e.key === "ArrowDown" || e.key === "j") {
      e.preventDefault();
      if (all[i + 1]) focus(all[i + 1]);
    } else if (e.key === "ArrowUp" || e.key === "k") {
      e.preventDefault();
      if (i > 0) focus(all[i - 1]);
      else { q.focus(); scrollTo({ top: 0 }); }
    } else if (e.key === "Home" || e.key === "End") {
      e.preventDefault();
      focus(all[e.key === "Home" ? 0 : all.length - 1]);
    } else if (e.key === "Enter" && onCard) {
      e.preventDefault();
      press("details");
    } else if (e.key === "w") {
      e.preventDefault();
      press("why");
    } else if (e.key === "m") {
      e.preventDefault();
      press("similar");
    } else if (e.key === "Escape") {
      e.preventDefault();
      q.focus();
    }
  }
}
