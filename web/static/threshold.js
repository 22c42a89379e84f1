// The histogram of similarities with the threshold as a line that is dragged: by mouse, finger or keys.

import { fill, h, svg } from "./dom.js";
import { count, plural } from "./format.js";

const STEP = 0.005, LEAP = 0.05;
const BETWEEN = 0.05; // from one number on the axis to the next

const clamp = (v, low, high) => Math.min(high, Math.max(low, v));

/** snap rounds a threshold to the step of the line; 0 is none. */
export const snap = (v, least) => Number(clamp(Math.round(v / STEP) * STEP, Math.max(least, STEP), 1).toFixed(4));

/** height gives a bar's height as a share: logarithmic, so that bands of a few pairs are seen beside those of thousands. */
export const height = (pairs, most) => (pairs > 0 ? Math.log1p(pairs) / Math.log1p(most) : 0);

/** powers lists what the vertical axis names: 1, 10, 100, … up to the most. */
export function powers(most) {
  const out = [];
  for (let n = 1; n <= most; n *= 10) out.push(n);
  return out;
}

/** mixed gives the cosine of the band where duplicates and others are most mixed: there a rule is seen at work. */
export function mixed(bands) {
  const both = (b) => Math.min(b.same, b.pairs - b.same);
  return bands.reduce((best, b) => (both(b) > both(best) || (both(best) === 0 && b.pairs > 0 && best.pairs === 0) ? b : best), bands[0] ?? { from: 1, same: 0, pairs: 0 }).from;
}

/** createThreshold gives {node, draw}. moved(value) hears of every move of the line, band(i) of the band that is pointed at. */
export function createThreshold({ moved, band }) {
  const grid = h("div", { class: "plot-grid", "aria-hidden": "true" });
  const bars = svg("svg", { class: "bars", preserveAspectRatio: "none", "aria-hidden": "true" });
  const handle = h("div", { class: "handle", role: "slider", tabindex: "0", id: "threshold", "aria-label": "Threshold", "aria-orientation": "horizontal" }, h("i"), h("b"));
  const plot = h("div", { class: "plot" }, grid, bars, handle);
  const axis = h("div", { class: "axis", "aria-hidden": "true" });
  const empty = h("p", { class: "plot-empty" });
  const note = h("p", { class: "aside rule-note" });
  const ends = h("p", { class: "track-ends", "aria-hidden": "true" }, h("span", null, "0"), h("span", null, "probability"), h("span", null, "1"));
  const node = h("div", { class: "histogram" }, plot, axis, ends, h("p", { class: "legend" },
    h("span", { class: "key same" }, "duplicates"), h("span", { class: "key all" }, "other pairs"), h("span", { class: "key low" }, "below the line"), h("span", { class: "scale" }, "heights are logarithmic")), note);
  let bands = [], floor = 0.8, least = 0.8, value = 0.9, most = 1, dragging = false, pointed = -1;

  const share = (v, from) => (v - from) / (1 - from);
  const at = (e, from) => {
    const box = plot.getBoundingClientRect();
    return from + clamp((e.clientX - box.left) / box.width, 0, 1) * (1 - from);
  };

  function point(cosine) {
    let i = bands.findIndex((b) => cosine < b.to);
    if (i < 0) i = bands.length - 1;
    if (i === pointed || i < 0) return;
    pointed = i;
    for (const el of bars.children) el.classList.toggle("pointed", el.dataset.band === String(i));
    band(bands[i]);
  }

  function set(v, tell) {
    value = v;
    handle.style.setProperty("--x", share(value, least));
    handle.querySelector("b").textContent = value.toFixed(3).replace(/0$/, "");
    handle.setAttribute("aria-valuenow", value);
    bands.forEach((b, i) => {
      for (const el of bars.querySelectorAll(`.all[data-band="${i}"]`)) el.classList.toggle("low", least === floor && b.to <= value + 1e-9);
    });
    if (tell) moved(value);
  }

  /** draw shows a report's bands. With a learnt rule the threshold is a probability, and the line runs from 0 to 1. */
  function draw(report, learnt) {
    bands = report.histogram ?? [];
    floor = report.floor;
    least = learnt ? 0 : floor;
    most = Math.max(1, ...bands.map((b) => b.pairs));
    pointed = -1;
    node.classList.toggle("learnt", learnt);
    bars.setAttribute("viewBox", `0 0 ${Math.max(1, bands.length)} 1`);
    const bar = (kind, n, i) => n > 0 && svg("rect", { class: kind, "data-band": i, x: i + 0.08, width: 0.84, y: 1 - height(n, most), height: height(n, most) });
    fill(bars, bands.map((b, i) => [svg("rect", { class: "hover", "data-band": i, x: i, width: 1, y: 0, height: 1 }), bar("all", b.pairs, i), bar("same", b.same, i)]));
    empty.textContent = report.embedded === 0 ? "None of these documents has a vector: only copies of a text are found." : "No two different texts are this near to each other.";
    note.textContent = learnt ? "The learnt rule gives each pair a probability of being the same; the handle sets the least that counts." : "Below the line a pair counts when it has the same names and words; above it, unless a fact such as a size or a colour differs.";
    fill(grid, powers(most).map((n) => h("span", { vars: { "--y": height(n, most) } }, h("i"), h("em", null, count(n)))), !bands.some((b) => b.pairs) && empty);
    const ticks = [];
    for (let v = Math.ceil(floor / BETWEEN - 1e-9) * BETWEEN; v <= 1 + 1e-9; v += BETWEEN) ticks.push(v);
    fill(axis, ticks.map((v) => h("span", { vars: { "--x": share(v, floor) } }, v.toFixed(2))));
    handle.setAttribute("aria-valuemin", least);
    handle.setAttribute("aria-valuemax", "1");
    if (!dragging) set(report.threshold, false);
    else set(value, false);
    point(learnt ? mixed(bands) : value);
  }

  /** tell says the counts at the line, for a screen reader. */
  const tell = (report) => handle.setAttribute("aria-valuetext", `${least === floor ? "cosine" : "probability"} ${value}: ${plural(report.duplicates, "duplicate")} in ${plural(report.total, "cluster")}`);

  plot.addEventListener("pointerdown", (e) => {
    if (e.button !== 0) return;
    dragging = true;
    plot.setPointerCapture(e.pointerId);
    handle.focus({ preventScroll: true });
    e.preventDefault();
    move(e);
  });
  plot.addEventListener("pointermove", move);
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) plot.addEventListener(end, () => { dragging = false; });
  function move(e) {
    point(at(e, floor));
    if (!dragging) return;
    const v = snap(at(e, least), least);
    if (v !== value) set(v, true);
  }

  const KEYS = { ArrowLeft: -STEP, ArrowDown: -STEP, ArrowRight: STEP, ArrowUp: STEP, PageDown: -LEAP, PageUp: LEAP, Home: -1, End: 1 };
  handle.addEventListener("keydown", (e) => {
    if (!(e.key in KEYS) || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    const v = snap(value + KEYS[e.key], least);
    if (v !== value) set(v, true);
    if (least === floor) point(v);
  });

  return { node, draw, tell, dragging: () => dragging };
}
