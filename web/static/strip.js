// The line above the hits: how many, how fast, which stage took what, and what the reranker did.

import { fill, h } from "./dom.js";
import { count, ms, plural } from "./format.js";

const STAGES = [["bm25_ms", "BM25"], ["embed_ms", "embed"], ["vector_ms", "vectors"], ["rerank_ms", "rerank"], ["collapse_ms", "fold"], ["facets_ms", "facets"]];
const REST = ["parse_ms", "fuse_ms", "fetch_ms", "highlight_ms"]; // shown together: each is small
const WORTH_NAMING_MS = 0.05;

/** countLine says how many hits there are, and of what kind the count is. */
export function countLine(result, state, from) {
  if (state.like) return plural(result.hits.length, "similar document");
  if (result.total === 0) return "No results";
  const to = from + result.hits.length;
  const span = from > 0 && result.hits.length ? `${count(from + 1)}–${count(to)} of ` : "";
  if (result.total_is === "candidates") return `${span || "Best of "}${plural(result.total, "candidate")}`;
  return span + plural(result.total, state.q ? "result" : "document");
}

/** drawStrip shows the stages of one answer. */
export function drawStrip(root, result, mode) {
  const t = result.timings ?? {};
  const rest = { name: "rest", key: "rest_ms", ms: REST.reduce((a, key) => a + (Number(t[key]) || 0), 0), title: REST.map((key) => `${key.replace("_ms", "")} ${ms(t[key] ?? 0)}`).join(", ") };
  const stages = [...STAGES.map(([key, name]) => ({ name, ms: Number(t[key]) || 0, key })), rest].filter((s) => s.ms >= WORTH_NAMING_MS);
  const sum = stages.reduce((a, s) => a + s.ms, 0);
  fill(root,
    Number.isFinite(result.took_ms) && h("span", { class: "took" }, `${ms(result.took_ms)} ms`),
    sum > 0 && h("span", { class: "stack", "aria-hidden": "true" }, stages.map((s) => h("i", { class: s.key.replace("_ms", ""), title: `${s.name} ${ms(s.ms)} ms`, vars: { "--v": s.ms / sum } }))),
    stages.length > 0 && h("span", { class: "stages" }, stages.map((s) => h("span", { class: s.key.replace("_ms", ""), title: s.title }, h("i", { "aria-hidden": "true" }), `${s.name} ${ms(s.ms)}`))),
    reranked(result.rerank, mode));
}

function reranked(rerank, mode) {
  if (mode !== "reranked" || !rerank?.status) return null;
  const word = { full: `${plural(rerank.scored ?? 0, "hit")} reranked`, partial: "rerank cut short", skipped: "not reranked" }[rerank.status] ?? rerank.status;
  return h("span", { class: `rerank ${rerank.status}` }, rerank.reason && rerank.status !== "full" ? `${word}: ${rerank.reason}` : word);
}

const OUT = {
  text: "The keyword index is out; these answers come from meaning alone.",
  vectors: "The vector index is out; these answers come from keywords alone.",
  embedder: "The embedding model is out; these answers come from keywords alone.",
  reranker: "The reranker is out; the order is that of the fused lists.",
};

const STATUS = {
  recovering: "This collection is recovering: it reads its log again and may miss recent documents until it is done.",
  read_only: "This collection is read-only after a storage error: searches go on, imports are refused until a restart.",
  degraded: "One of this collection's indexes is out; the other answers.",
  damaged: "This collection's store is damaged and cannot be served.",
};

/** drawBanner shows what does not work, and the warnings of an answer. */
export function drawBanner(root, result, info) {
  const lines = (result?.degraded ?? []).map((part) => OUT[part] ?? `Out of order: ${part}.`);
  if (info?.status && info.status !== "ready" && lines.length === 0) lines.push(STATUS[info.status] ?? `This collection is ${info.status}.`);
  if (info?.status !== "ready" && info?.detail) lines.push(info.detail);
  fill(root,
    lines.length > 0 && h("div", { class: "banner bad", role: "alert" }, lines.map((l) => h("p", null, l))),
    result?.warnings?.length > 0 && h("div", { class: "banner" }, result.warnings.map((l) => h("p", null, l))));
}

/** drawModels names the models behind the answer. */
export function drawModels(root, models, version) {
  const one = (role, m) => m?.name && h("span", { class: "model", title: m.fingerprint ? `fingerprint ${m.fingerprint}` : undefined }, `${role} `, h("b", null, m.version ? `${m.name} ${m.version}` : m.name));
  fill(root, version && version !== "unknown" && h("span", { class: "model" }, "Robin ", h("b", null, version)), one("embedder", models?.embedder), one("reranker", models?.reranker));
}
