// Sending a file to the import route: its format, its name, and the bytes on their way.

import { headers, path, problem, ApiError } from "./api.js";

const FORMATS = {
  jsonl: { name: "JSONL", type: "application/x-ndjson" },
  json: { name: "JSON", type: "application/json" },
  csv: { name: "CSV", type: "text/csv" },
  tsv: { name: "TSV", type: "text/tab-separated-values" },
  parquet: { name: "Parquet", type: "application/vnd.apache.parquet" },
};
const ENDINGS = { jsonl: "jsonl", ndjson: "jsonl", json: "json", csv: "csv", tsv: "tsv", parquet: "parquet" };
const PACKINGS = { gz: "gzip", gzip: "gzip", zst: "zstd" };

/** describe reads a file's format from its name. null: not readable. */
export function describe(file) {
  const words = file.name.toLowerCase().split(".");
  const encoding = PACKINGS[words.at(-1)] ?? "";
  if (encoding) words.pop();
  const format = ENDINGS[words.at(-1)];
  if (!format) return null;
  return { format, encoding, label: FORMATS[format].name + (encoding ? `, ${encoding}` : "") };
}

/** nameFor makes a collection name out of a file name; corrected rows go where the others went. */
export function nameFor(filename) {
  const base = filename.toLowerCase().replace(/\.(gz|gzip|zst)$/, "").replace(/\.(jsonl|ndjson|json|csv|tsv|parquet)$/, "").replace(/\.failed$/, "");
  const name = base.normalize("NFKD").replace(/\p{M}+/gu, "").replace(/[^a-z0-9_-]+/g, "-").replace(/^[-_]+|-+$/g, "").slice(0, 64);
  return name || "import";
}

export const validName = (name) => /^[a-z0-9][a-z0-9_-]{0,63}$/.test(name);

/** send uploads file, to be imported or, with dry, only read through; progress(sent, total) counts bytes. Gives the answer's JSON. abort(fn) hands out a way to stop it. */
export function send(file, { collection, action, dirty, format, encoding, dry }, { progress, abort }) {
  // a .json file may hold an array, one object, or one after the other: the server tells by its first bytes
  const known = format === "json" ? {} : { format };
  const url = `${path("collections", collection, "documents", "import")}?${new URLSearchParams({ ...known, action, ...(dirty ? { dirty } : {}), ...(dry ? { dry_run: "true" } : {}), async: "true" })}`;
  return new Promise((resolve, reject) => {
    // fetch cannot tell how much of a body is sent
    const x = new XMLHttpRequest();
    x.open("POST", url);
    for (const [name, value] of Object.entries(headers({ "Content-Type": FORMATS[format].type }))) x.setRequestHeader(name, value);
    if (encoding) x.setRequestHeader("Content-Encoding", encoding);
    x.upload.onprogress = (e) => progress(e.loaded, e.total || file.size);
    x.onload = () => {
      if (x.status < 200 || x.status > 299) return reject(problem(x.status, x.responseText, x.getResponseHeader("Retry-After"), x.getResponseHeader("X-Request-ID")));
      try { resolve(JSON.parse(x.responseText)); } catch { reject(new ApiError("The answer to the import is not JSON.", { status: x.status })); }
    };
    x.onerror = () => reject(new ApiError("The connection broke during the upload. Importing the same file again is safe."));
    x.onabort = () => reject(new DOMException("stopped", "AbortError"));
    abort(() => x.abort());
    x.send(file);
  });
}
