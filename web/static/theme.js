// Light or dark: the system's choice until a person makes their own, which is kept in localStorage. This file runs
// before the first paint, so the page never flashes in the wrong colours.
(() => {
  const SLOT = "robin.theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const read = () => { try { return localStorage.getItem(SLOT); } catch { return null; } };
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

  const saved = read();
  if (saved === "light" || saved === "dark") root.dataset.theme = saved;

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const name = () => button.setAttribute("aria-label", isDark() ? "Switch to light colours" : "Switch to dark colours");
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try { localStorage.setItem(SLOT, root.dataset.theme); } catch { /* private mode: this visit only */ }
      name();
    });
    system.addEventListener("change", name);
    name();
  });
})();
