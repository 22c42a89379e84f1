// Highlights come as HTML-escaped text with <mark>…</mark>. They are taken apart here and become text nodes: nothing is
// ever parsed as HTML, so a server that forgot to escape would show its tags as letters.

import { h } from "./dom.js";

const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#34;": '"', "&#39;": "'", "&#x27;": "'", "&apos;": "'" };

const unescape = (text) => text.replace(/&(?:amp|lt|gt|quot|apos|#34|#39|#x27);/g, (e) => ENTITIES[e]);

/** withoutMarks is a highlight as plain text. */
export const withoutMarks = (text) => unescape(String(text).replace(/<\/?mark>/g, ""));

/** marked gives the nodes of a highlight. */
export function marked(text) {
  const nodes = [];
  let inside = false;
  for (const part of String(text).split(/(<\/?mark>)/)) {
    if (part === "<mark>") inside = true;
    else if (part === "</mark>") inside = false;
    else if (part !== "") nodes.push(inside ? h("mark", null, unescape(part)) : document.createTextNode(unescape(part)));
  }
  return nodes;
}
