// A file may be dropped anywhere on the page.

/** watch shows overlay while files hover over the page and calls take(file) when one is dropped. */
export function watch(overlay, take) {
  let depth = 0; // dragenter and dragleave come for every element that is crossed
  const files = (e) => [...(e.dataTransfer?.types ?? [])].includes("Files");
  const show = (on) => {
    if (!on) depth = 0;
    overlay.hidden = !on;
  };
  addEventListener("dragenter", (e) => { if (files(e)) { e.preventDefault(); depth++; show(true); } });
  addEventListener("dragleave", (e) => { if (files(e) && --depth <= 0) show(false); });
  addEventListener("dragover", (e) => { if (files(e)) { e.preventDefault(); e.dataTransfer.dropEffect = "copy"; } });
  addEventListener("drop", (e) => {
    if (!files(e)) return;
    e.preventDefault();
    show(false);
    const file = e.dataTransfer.files[0];
    if (file) take(file);
  });
}
