// What differs between two texts, word by word.

import { h } from "./dom.js";

const MOST_CELLS = 4_000_000; // of the table below, 2 bytes each; what is larger after trimming counts as replaced
const WORDS = /[\p{L}\p{M}\p{N}]+(?:[.,'’/-][\p{L}\p{M}\p{N}]+)*|[^\s\p{L}\p{M}\p{N}]/gu;

/** words cuts a text into words and signs, each with the space that follows it. led: space comes before it. */
export function words(text) {
  const found = [...text.matchAll(WORDS)];
  return found.map((m, i) => ({
    word: m[0], space: text.slice(m.index + m[0].length, found[i + 1]?.index ?? text.length), led: i > 0 && /\s/.test(text[m.index - 1]),
  }));
}

/** diff gives the runs [{op, text}] that lead from one text to the other. op: "same", "out" (only in a), "in" (only in b). */
export function diff(a, b) {
  const x = words(a), y = words(b);
  let from = 0, xe = x.length, ye = y.length;
  while (from < xe && from < ye && x[from].word === y[from].word) from++;
  while (xe > from && ye > from && x[xe - 1].word === y[ye - 1].word) { xe--; ye--; }
  const same = (w) => ["same", w];
  return runs(slide([...y.slice(0, from).map(same), ...middle(x.slice(from, xe), y.slice(from, ye)), ...y.slice(ye).map(same)]));
}

// middle is the classic longest common subsequence.
function middle(x, y) {
  const n = x.length, m = y.length, wide = m + 1;
  if ((n + 1) * wide > MOST_CELLS) return [...x.map((w) => ["out", w]), ...y.map((w) => ["in", w])];
  const best = new Uint16Array((n + 1) * wide); // of x from i and y from j
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      best[i * wide + j] = x[i].word === y[j].word ? best[(i + 1) * wide + j + 1] + 1 : Math.max(best[(i + 1) * wide + j], best[i * wide + j + 1]);
    }
  }
  const out = [];
  let i = 0, j = 0;
  while (i < n && j < m) {
    if (x[i].word === y[j].word) { out.push(["same", y[j]]); i++; j++; }
    else if (best[(i + 1) * wide + j] >= best[i * wide + j + 1]) out.push(["out", x[i++]]);
    else out.push(["in", y[j++]]);
  }
  return [...out, ...x.slice(i).map((w) => ["out", w]), ...y.slice(j).map((w) => ["in", w])];
}

// slide moves a change that begins with a sign behind it, where that is possible: of "a. b." and "a." the sentence "b."
// is left out, not ". b".
function slide(steps) {
  for (let i = 1; i < steps.length; i++) {
    const [op, first] = steps[i];
    if (op === "same" || steps[i - 1][0] !== "same" || /[\p{L}\p{N}]/u.test(first.word)) continue;
    let end = i;
    while (end < steps.length && steps[end][0] === op) end++;
    if (steps[end]?.[0] !== "same" || steps[end][1].word !== first.word) continue;
    const next = steps[end][1];
    steps[i] = ["same", op === "in" ? first : next];
    steps[end] = [op, next];
  }
  return steps;
}

// runs joins steps; between two same words, all that went out stands before all that came in. The spaces are those of
// the second text, and what is needed to keep words apart.
function runs(steps) {
  const out = [];
  const waiting = { out: [], in: [] };
  const add = (op, words) => {
    if (words.length === 0) return;
    const last = out.at(-1);
    if (last && !/\s$/.test(last.text) && (op === "out" ? words[0].led : op === "in" && last.op === "out")) out.push({ op: "same", text: " " });
    const text = words.map((w) => w.word + w.space).join("");
    if (out.at(-1)?.op === "same" && op === "same") out.at(-1).text += text;
    else out.push({ op, text });
  };
  const flush = () => {
    for (const op of ["out", "in"]) add(op, waiting[op].splice(0));
  };
  for (const [op, w] of steps) {
    if (op !== "same") waiting[op].push(w);
    else {
      flush();
      add("same", [w]);
    }
  }
  flush();
  return out;
}

const TAGS = { out: "del", in: "ins" };

/** diffView shows a diff: struck out is only in a, underlined only in b. */
export const diffView = (a, b) => h("p", { class: "diff", dir: "auto" }, diff(a, b).map(({ op, text }) => {
  if (op === "same") return text;
  const bare = text.trimEnd(); // the space after it is not marked
  return [h(TAGS[op], null, bare), text.slice(bare.length)];
}));
