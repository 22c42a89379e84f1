// Building the page's nodes. Strings only ever become text nodes or attribute values, never HTML.

const SVG = "http://www.w3.org/2000/svg";

/** h makes an element. props: attributes by name; `on` = listeners by event; `vars` = CSS custom properties. */
export const h = (tag, props, ...children) => make(document.createElement(tag), props, children);

/** svg makes an element of a drawing, as h does. */
export const svg = (tag, props, ...children) => make(document.createElementNS(SVG, tag), props, children);

function make(el, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) el.addEventListener(event, listener);
    } else if (name === "vars") {
      for (const [key, v] of Object.entries(value)) el.style.setProperty(key, String(v));
    } else if (value === true) {
      el.setAttribute(name, "");
    } else {
      el.setAttribute(name, String(value));
    }
  }
  add(el, children);
  return el;
}

function add(el, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false || child === "") continue;
    el.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** fill replaces what is in el. */
export function fill(el, ...children) {
  el.replaceChildren();
  add(el, children);
  return el;
}

/** byId finds an element that index.html promises. */
export function byId(id) {
  const el = document.getElementById(id);
  if (!el) throw new Error(`index.html has no #${id}`);
  return el;
}

const PATHS = {
  close: "m5.500 5.500 9 9m0-9-9 9",
  chevron: "m6 8 4 4 4-4",
  copy: "M7 7V4.500a1 1 0 0 1 1-1h7.500a1 1 0 0 1 1 1V12a1 1 0 0 1-1 1H13M4.500 7H12a1 1 0 0 1 1 1v7.500a1 1 0 0 1-1 1H4.500a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1z",
  download: "M10 3.500V13m0 0 3.500-3.500M10 13 6.500 9.500M3.500 13v2.500a1 1 0 0 0 1 1h11a1 1 0 0 0 1-1V13",
  file: "M5.500 2.500h6l3.500 3.500v11a.5.5 0 0 1-.5.5h-9a.5.5 0 0 1-.5-.5V3a.5.5 0 0 1 .5-.5zm6 0V6H15",
  near: "M10 10h.01M10 5.500a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9m0-3a7.500 7.500 0 1 1 0 15 7.500 7.500 0 0 1 0-15",
  warn: "M10 3 2.500 16.500h15zM10 8v4m0 2.300v.2",
  done: "m4.500 10.500 3.500 3.500 7.500-8",
  search: "M9 3.500a5.500 5.500 0 1 1 0 11 5.500 5.500 0 0 1 0-11m4.200 9.700L17 17",
  undo: "M7 4.500 3.500 8 7 11.500M4 8h8a4.500 4.500 0 0 1 0 9H8",
  equal: "M4.500 7.500h11m-11 5h11",
  differ: "M4.500 7.500h11m-11 5h11M13 3.500l-6 13",
  keep: "M6 3h8v14l-4-3.500L6 17z",
  plug: "M7.500 3v4m5-4v4M5 7h10v2.500a5 5 0 0 1-10 0zm5 7.500V18",
  left: "m12 5.500-4.500 4.500 4.500 4.500",
  right: "m8 5.500 4.500 4.500L8 14.500",
};

/** icon draws one of the line icons above. */
export const icon = (name) => svg("svg", { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true" }, svg("path", { d: PATHS[name] }));

/** keepFocus runs draw, which replaces nodes inside root, and puts focus and unsent input back by data-key. */
export function keepFocus(root, draw) {
  const old = document.activeElement;
  const key = old && root.contains(old) ? old.dataset.key : undefined;
  const typed = key !== undefined && old.matches("input:not([type=checkbox]):not([type=radio])") ? old.value : undefined;
  draw();
  if (key === undefined) return;
  const now = [...root.querySelectorAll("[data-key]")].find((el) => el.dataset.key === key);
  if (!now) return;
  if (typed !== undefined) now.value = typed;
  now.focus({ preventScroll: true });
}
