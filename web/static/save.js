// Handing a file to the person.

import { h } from "./dom.js";

const KEPT_MS = 10_000; // the browser has begun to read it by then

/** save downloads a blob under a name. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}
